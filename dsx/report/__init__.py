"""What people see of a study: tables, plots and rows of its front, which is only read here."""

from dsx.report.plots import check_plot, plot, plot_proxies

__all__ = ["check_plot", "plot", "plot_proxies"]
