"""The report's page about the design, and its figure: boxes and arrows drawn by gnuplot."""
import os

from . import plot
from .chart import image

NAME = "design"
HEIGHT = 500
WIDE, HIGH = 100.0, 58.0
FRAME, PART, STORE = "#f4f6f8", "#ffffff", "#e8f1f8"

# (left, bottom, right, top, fill, text at the top or in the middle, where)
BOXES = [
    (1, 3, 31, 55, FRAME, "a host", "top"),
    (3, 40, 16, 50, PART, "process\nlibcairn", "middle"),
    (17, 40, 29, 50, PART, "process\nlibcairn + agent", "middle"),
    (3, 8, 29, 26, STORE, "shared memory\ncached values, each with the\n"
     "note that makes it valid;\ncluster map", "middle"),
    (45, 17, 71, 55, FRAME, "primary of the partition", "top"),
    (47, 40, 69, 50, PART, "loop thread\nrole, lease, (epoch, index)", "middle"),
    (47, 29, 55.5, 36, STORE, "log", "middle"),
    (57, 29, 69, 36, STORE, "memory table", "middle"),
    (57, 19, 69, 25, STORE, "LMDB", "middle"),
    (83, 26, 99, 55, FRAME, "backup", "top"),
    (85, 40, 97, 50, PART, "loop thread", "middle"),
    (85, 29, 97, 36, STORE, "log", "middle"),
    (57, 3, 83, 12, FRAME, "manager\nwho holds which copy, by epochs", "middle"),
]

# (x, y, x, y, ends, colour, text, its x, its y, alignment)
BLUE, ORANGE, GREEN, GREY = plot.COLOURS[0], plot.COLOURS[3], "#00805c", "#666666"
ARROWS = [
    (8, 26, 8, 40, "heads", GREEN, "a hit: no lock,\nno system call", 8.8, 34.4, "left"),
    (23, 26, 23, 40, "heads", ORANGE, "", 0, 0, "left"),
    (29, 48, 47, 48, "head", BLUE, "1  PUT: one call", 32, 49.4, "left"),
    (47, 46.4, 29, 46.4, "head", BLUE, "5  answer", 32, 44.4, "left"),
    (29, 41.4, 47, 41.4, "heads", ORANGE, "lease, invalidations", 31.4, 39.6, "left"),
    (50, 40, 50, 36, "head", BLUE, "2  write, sync", 50.7, 38, "left"),
    (69, 46.5, 85, 46.5, "head", BLUE, "2  same bytes", 72, 48.4, "left"),
    (88, 40, 88, 36, "head", BLUE, "3  write, sync", 88.7, 38, "left"),
    (85, 42.5, 69, 42.5, "head", BLUE, "3  synced", 74, 40.8, "left"),
    (63, 40, 63, 36, "head", BLUE, "4  apply", 63.7, 38, "left"),
    (60, 29, 60, 25, "head", GREY, "checkpoint", 60.7, 27, "left"),
    (63, 17, 63, 12, "heads", GREY, "", 0, 0, "left"),
    (88, 26, 79, 12, "heads", GREY, "when a copy is lost,\nmoved or added", 85.5, 18, "left"),
]


def place(x, y):
    return f"graph {x / WIDE:.4f}, graph {y / HIGH:.4f}"


def box(number, left, bottom, right, top, fill, text, where):
    lines = [f'set object {number} rectangle from {place(left, bottom)} to {place(right, top)} behind '
             f'fc rgb "{fill}" fillstyle solid 1.0 border lc rgb "#8a96a3" lw 1']
    rows = text.split("\n")
    middle = (bottom + top) / 2 if where == "middle" else top - 2.2
    for at, row in enumerate(rows):
        y = middle + ((len(rows) - 1) / 2 - at) * 2.5
        size, colour = ('",11"', "#111111") if at == 0 else ('",9"', "#444444")
        lines.append(f"set label {plot.quoted(row)} at {place((left + right) / 2, y)} center noenhanced "
                     f'font {size} tc rgb "{colour}" front')
    return lines


def arrow(x, y, to_x, to_y, ends, colour, text, text_x, text_y, alignment):
    lines = [f"set arrow from {place(x, y)} to {place(to_x, to_y)} {ends} filled size screen 0.010,20 "
             f'lc rgb "{colour}" lw 1.6 front']
    for at, row in enumerate(text.split("\n")):
        if row:
            lines.append(f"set label {plot.quoted(row)} at {place(text_x, text_y - 2.3 * at)} {alignment} "
                         f'noenhanced font ",10" tc rgb "{colour}" front')
    return lines


def script():
    lines = ["set encoding utf8", "unset border", "unset tics", "unset key", "set margins 0,0,0,0",
             "set xrange [0:1]", "set yrange [0:1]"]
    for number, one in enumerate(BOXES, 1):
        lines += box(number, *one)
    for one in ARROWS:
        lines += arrow(*one)
    return lines + ["plot NaN notitle"]


def draw(folder):
    plot.gnuplot(NAME, script(), folder, HEIGHT)


def section():
    """Lines of Markdown, the figure first."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "design.md")
    with open(path, encoding="utf-8") as file:
        return [image(NAME, "How a write, a cached read and an invalidation travel"), "",
                *file.read().strip().split("\n")]
