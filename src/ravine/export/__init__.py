"""The runs of a comparison for other tools: CSV, parquet, TensorBoard, Optuna."""

from ravine.export.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
