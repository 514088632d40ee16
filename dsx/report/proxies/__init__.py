"""Proxy metrics as table, figure and page."""

from dsx.report.proxies.table import print_proxies, proxies_document

__all__ = ["print_proxies", "proxies_document"]
