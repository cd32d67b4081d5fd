"""Cairn beside other stores: the same data, the same driver, one machine, in turns."""
import dataclasses
import re

from reportlib.chart import image
from reportlib.peers_charts import charts
from reportlib.peers_measures import PARTS
from reportlib.peers_table import checkpoint_text, claims, figures, head, noise, written_text
from reportlib.stores import Bench, missing

TITLE = "Beside other stores"

def effective(options):
    """In the quick form everything is as small as it goes."""
    if not options.quick:
        return options
    return dataclasses.replace(options, rounds=1, seconds=1, keys=min(options.keys, 2000))


def chosen_of(only):
    """{part: its measures whose name the regular expression matches}, of parts that have any."""
    found = {part: [title for title in titles if re.search(only, title)]
             for part, (_, _, titles) in PARTS.items()}
    return {part: titles for part, titles in found.items() if titles}


def planned(options, chosen):
    return {part: PARTS[part][1](options, len(titles)) for part, titles in chosen.items()}


def estimate(options, only=""):
    return sum(planned(effective(options), chosen_of(only)).values())


def run(options, space, progress, only="", alone=False):
    """`only`: measures to take; `alone`: progress says what is left, too."""
    options, chosen = effective(options), chosen_of(only)
    bench = Bench(options, space, progress, planned(options, chosen), alone)
    results = {"absent": missing(), "rounds": options.rounds, "seconds": options.seconds,
               "keys": options.keys, "quick": options.quick, "measures": {}}
    for name in results["absent"]:
        progress(f"{name} is not installed and left out")
    for part, titles in chosen.items():
        results["measures"].update(PARTS[part][0](bench, titles))
    return results


def section(results):
    shown = [image(chart.name, chart.title) for chart in charts(results)]
    return [*head(results), *claims(results), *figures(results), *checkpoint_text(results),
            *written_text(results), *noise(results), *[line for each in shown for line in (each, "")]]
