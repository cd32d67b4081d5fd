"""A plot as data: what gnuplot draws is in plot.py."""
from dataclasses import dataclass, field


@dataclass
class Series:
    name: str
    points: list             # (x, y) or, with bars, (label, y)


@dataclass
class Chart:
    name: str                # of its files: report/plots/NAME.svg and .png
    title: str
    x_label: str
    y_label: str
    series: list = field(default_factory=list)
    kind: str = "lines"      # lines, points, steps or bars (grouped by label)
    log_x: bool = False
    log_y: bool = False
    marks: list = field(default_factory=list)   # (x, text): vertical lines


def image(name, text=""):
    """The line of Markdown that shows a chart."""
    return f"![{text or name}](plots/{name}.svg)"
