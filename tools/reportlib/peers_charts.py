"""The results of peers.py as charts."""
import statistics

from reportlib.chart import Chart, Series
from reportlib.peers_checkpoint import SLICE_SECONDS
from reportlib.peers_table import PUT_P99, clients, latency, numbers, rate
from reportlib.stores import ALL, CAIRN


def bars(results, operation, what, **how):
    series = []
    for store in ALL:
        points = [(clients(n), statistics.median(values)) for n in (1, 10, 30)
                  if (values := numbers(results, f"{operation} {n}", store, what))]
        if points:
            series.append(Series(store, points))
    return Chart(series=series, kind="bars", x_label="", **how)


def charts(results):
    every = [
        bars(results, "put", rate, name="peers-put", title="Durable PUTs a second", y_label="PUTs a second"),
        bars(results, "get", rate, name="peers-get", title="GETs a second, no cache", y_label="GETs a second",
             log_y=True),
        bars(results, "put", PUT_P99, name="peers-put-p99", title="99% of PUTs are answered within",
             y_label="µs", log_y=True),
        bars(results, "get", latency("get", "p99_us"), name="peers-get-p99",
             title="99% of GETs are answered within", y_label="µs", log_y=True)]
    return [chart for chart in [*every, *over_time(results)] if chart.series]


def over_time(results):
    """The round with the most checkpoints, from slice to slice; marks are where one begins."""
    rounds = results["measures"].get("checkpoint", {}).get(CAIRN, [])
    if not rounds:
        return []
    series = max(rounds, key=lambda r: r["checkpoints"])["series"]
    points = [(round(i * SLICE_SECONDS, 3), value) for i, (value, _) in enumerate(series)]
    begins = [i for i, (_, busy) in enumerate(series) if busy and (i == 0 or not series[i - 1][1])]
    return [Chart(name="peers-checkpoint", title="PUTs a second over time, and where checkpoints begin",
                  x_label="seconds", y_label="PUTs a second", series=[Series(CAIRN, points)],
                  marks=[(points[i][0], "checkpoint" if i == begins[0] else "") for i in begins])]
