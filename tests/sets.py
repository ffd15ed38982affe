"""Small data sets as parquet files, in the schema of the real ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def write_set(folder: Path, name: str, **splits) -> None:
    """Columns by split -> folder/name/split.parquet; images are encoded."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for split, columns in splits.items():
        table = pa.table({column: _stored(values) for column, values in columns.items()})
        pq.write_table(table, folder / name / f"{split}.parquet")


def _stored(values):
    images = isinstance(values[0], np.ndarray)
    return (
        [{"bytes": _encoded(image), "path": None} for image in values] if images else list(values)
    )


def _encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
