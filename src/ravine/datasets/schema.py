"""What the columns of a data set have to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Content = Literal["integers", "texts", "encoded images"]


def complaint(column: pa.ChunkedArray, content: Content) -> str | None:
    """What a column holds instead, in print; None where all is as it should be."""
    if not _fits(column.type, content):
        return str(column.type)
    if column.null_count:
        return f"{column.null_count} nulls among {len(column)} rows"
    return None


def _fits(kind: pa.DataType, content: Content) -> bool:
    """Encoded images are structs with the file's bytes, as the hub stores them."""
    from pyarrow import types

    match content:
        case "integers":
            return bool(types.is_integer(kind))
        case "texts":
            return bool(types.is_string(kind) or types.is_large_string(kind))
        case "encoded images":
            return bool(types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
