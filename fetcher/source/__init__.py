"""Image lists in, rows out: every layout of Open Images, and any table with a column of URLs."""

from fetcher.source.columns import ColumnNames
from fetcher.source.ids import read_ids
from fetcher.source.lists import ImageList, open_list
from fetcher.source.streams import Progress
from fetcher.source.table import Table
from fetcher.source.values import REASONS

__all__ = ["REASONS", "ColumnNames", "ImageList", "Progress", "Table", "open_list", "read_ids"]
