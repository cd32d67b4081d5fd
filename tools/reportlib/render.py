"""Writes report.md from what is kept: nothing is measured here.

A sceptical reader shall see of every figure at which commit, when, on what machine and under what
disturbance it was taken, and of every gap why it is one.
"""
import os
import re

import benchlib
from benchlib import BenchError

from . import design, plot
from .measure import explain
from .progress import span

SYNCS = "synced writes of 200 bytes a second, one after the other"
STOLEN = "processor time stolen by the hypervisor meanwhile"
LOAD = "load of the machine before (1 minute)"
# Facts that are columns of the first table, or differ always.
VARIES = {SYNCS, STOLEN, LOAD, "date", "commit"}
OWN_PAGES = ("report.md", "performance.md")
IMAGE = re.compile(r"^\s*!\[[^\]]*\]\(plots/([^)\s]+)\.svg\)\s*$")


def plain(text):
    """Of a table's cell or a link's text."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def anchor(heading):
    """As GitHub and pandoc's gfm make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def lowered(lines, depth):
    """The lines with their highest heading at this depth, and the others below it as they were."""
    fenced, found = False, []
    for at, line in enumerate(lines):
        fenced ^= line.startswith("```")
        if not fenced and re.match(r"#{1,6} ", line):
            found.append((at, len(line) - len(line.lstrip("#"))))
    by = max(0, depth - min((level for _, level in found), default=depth))
    changed = list(lines)
    for at, level in found:
        changed[at] = "#" * min(6, level + by) + changed[at][level:]
    return changed


class Report:
    """The page under construction; `problems` says what could not be shown."""

    def __init__(self, experiments, folder):
        self.experiments, self.folder = experiments, folder
        self.shown = [e for e in experiments if e.kept is not None]
        self.newest = max((e.kept for e in self.shown), key=lambda k: k["date"], default=None)
        self.problems, self.images = [], plot.available()

    # --- plots ---

    def draw(self, name, drawing):
        """Draws one; True if its image may be shown."""
        if not self.images:
            return False
        try:
            drawing()
            return True
        except (BenchError, OSError) as error:
            self.problems.append(f"the plot {name}: {error}")
            return False

    def draw_charts(self, experiment):
        """The names of those that exist now."""
        folder, drawn = os.path.join(self.folder, "plots"), set()
        for chart in experiment.module.charts(experiment.kept["results"]):
            if not plot.empty(chart) and self.draw(chart.name, lambda one=chart: plot.draw(one, folder)):
                drawn.add(chart.name)
        return drawn

    # --- sections ---

    def body(self, experiment):
        """What the experiment says of its results, with those of its images that there are."""
        lines = list(experiment.module.section(experiment.kept["results"]))
        drawn = self.draw_charts(experiment)
        found = [(line, IMAGE.match(line)) for text in lines for line in str(text).split("\n")]
        lines = [line for line, shown in found if shown is None or shown.group(1) in drawn]
        return lowered(lines, 3)

    def provenance(self, experiment):
        """Of its figures, where they are not those of the rest of the page."""
        kept = experiment.kept
        lines = []
        if experiment.quick:
            lines += ["**A quick run: it proves that the experiment works. Its figures mean nothing.**", ""]
        if kept["commit"] != self.newest["commit"]:
            lines += [f"*Measured at commit {kept['commit']} ({kept['date']}), not at "
                      f"{self.newest['commit']} like the newest part of this page.*", ""]
        shared = {name: value for name, value in self.newest["facts"]}
        other = [f"{name}: {value}" for name, value in kept["facts"]
                 if name not in VARIES and shared.get(name) != value]
        if other:
            lines += [f"*Measured with another machine or software: {'; '.join(other)}.*", ""]
        return lines

    def section(self, experiment):
        lines = []
        if experiment.failure:
            earlier = " What follows is of an earlier run." if experiment.kept and experiment.module else ""
            lines += [f"**Measuring failed: {plain(experiment.failure)}.**{earlier}", ""]
            self.problems.append(f"{experiment.name}: {experiment.failure}")
        if experiment.module is None:
            return lines
        if experiment.kept is None:
            return lines or [f"Not measured yet: `tools/report --only {experiment.name}` does.", ""]
        try:
            return lines + self.provenance(experiment) + self.body(experiment) + [""]
        except Exception as error:  # of a module that no longer understands what it kept
            text = explain(error)
            self.problems.append(f"{experiment.name}: its results cannot be shown: {text}")
            return lines + [f"**The results that are kept cannot be shown: {plain(text)}. Measuring again "
                            f"(`tools/report --full --only {experiment.name}`) may help.**", ""]

    # --- the page's own parts ---

    def head(self, pdf):
        lines = ["# Cairn: what it does, measured", ""]
        if self.newest is None:
            lines += ["Nothing has been measured yet.", ""]
        else:
            commits = list(dict.fromkeys(e.kept["commit"] for e in self.shown))
            lines += [f"Commit **{self.newest['commit']}**, {self.newest['date'].split()[0]}"
                      + (f"; some parts at other commits, as the table says ({', '.join(commits)})"
                         if len(commits) > 1 else "") + ".", ""]
            if any(c.endswith("+") for c in commits):
                lines += ["A `+` behind a commit: sources had been changed since.", ""]
        plots = "" if self.images else " No plots: gnuplot is not installed."
        lines += ["Written by `tools/report` (`just report` makes it again from what is kept in "
                  "`report/data/`, `just report-full` measures everything anew). " + pdf + plots, ""]
        return lines

    def read_first(self):
        return ["How to read the figures: the servers and the driver that loads them share one machine, so "
                "absolute numbers belong to that machine, and what is compared was measured in turns in one "
                "run. Judge the ratios and their spread. Nothing was left out because it looked bad; where "
                "Cairn loses, the section says so.", ""]

    def machine(self):
        if self.newest is None:
            return []
        facts = [f"- {name}: {value}" for name, value in self.newest["facts"] if name not in VARIES]
        return ["## Where and when", "", *facts, "", *self.runs()]

    def runs(self):
        rows = ["| part | commit | date | rounds × s | took | syncs/s | load before | stolen CPU |",
                "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"]
        for e in self.shown:
            facts, told = dict(map(tuple, e.kept["facts"])), e.kept.get("options", {})
            size = "quick" if e.quick else f"{told.get('rounds', '')} × {told.get('seconds', '')}"
            rows.append(f"| {plain(e.title)} | {e.kept['commit']} | {e.kept['date']} | {size} | "
                        f"{span(e.kept['seconds'])} | {facts.get(SYNCS, '')} | {facts.get(LOAD, '')} | "
                        f"{facts.get(STOLEN, '')} |")
        return rows + ["", f"*Syncs/s*: {SYNCS}, before. *Stolen CPU*: time that the hypervisor gave to "
                       "other machines while this part ran; where it is high, trust medians, not tails.", ""]

    def performance(self):
        path = os.path.join(self.folder, "performance.md")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            lines = file.read().strip().split("\n")
        if lines and lines[0].startswith("# "):
            lines = lines[1:]
        return ["## Performance work", "", *lowered(lines, 3), ""]

    def pages(self):
        """Detailed pages that other tools wrote."""
        rows = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".md") and name not in OWN_PAGES:
                with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                    text = file.read()
                title, *rest = [found.group(1) if found else "" for found in (
                    re.search(r"^# (.*)$", text, re.M), re.search(r"^Written by (`[^`]*`)", text, re.M),
                    re.search(r"^- date: (.*)$", text, re.M), re.search(r"^- (commit: .*)$", text, re.M))]
                about = ", ".join(part for part in rest if part)
                rows.append(f"- [{title or name}]({name})" + (f": {about}" if about else ""))
        if not rows:
            return []
        return ["## Pages of their own", "",
                "In more detail, each measured by its own tool, at the time and commit that it names:", "",
                *rows, ""]

    def text(self, pdf):
        """The whole page. `pdf`: a sentence about it."""
        self.problems = []
        parts = [["## The design in a page", "", *self.design()]]
        for experiment in self.experiments:
            parts.append([f"## {experiment.title}", "", *self.section(experiment)])
        parts += [part for part in (self.performance(), self.pages()) if part]
        parts.insert(0, self.machine())
        titles = [part[0][3:] for part in parts if part]
        contents = [f"- [{title}](#{anchor(title)})" for title in titles]
        lines = [*self.head(pdf), *self.read_first(), *contents, "", *sum(parts, [])]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"

    def design(self):
        drawn = self.draw(design.NAME, lambda: design.draw(os.path.join(self.folder, "plots")))
        lines = design.section()
        return [*([] if drawn else ["(The figure needs gnuplot.)", ""]),
                *[line for line in lines if drawn or IMAGE.match(line) is None], ""]


def write(report, pdf):
    text = report.text(pdf)
    benchlib.replace_file(os.path.join(report.folder, "report.md"), text)
    return text
