"""Reports for users: tables, plots, HTML pages, JSON and CSV of studies, designs and spaces."""

from dsx.report.plots import check_plot, plot, plot_proxies

__all__ = ["check_plot", "plot", "plot_proxies"]
