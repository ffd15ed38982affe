"""Many processes and machines: the chunks of a comparison as Ray tasks. Ray is imported on use."""

from ravine.distributed.cluster import LOCAL, Cluster, check_address, connected
from ravine.distributed.sweep import RayExecutor
from ravine.distributed.work import packed

__all__ = ["LOCAL", "Cluster", "RayExecutor", "check_address", "connected", "packed"]
