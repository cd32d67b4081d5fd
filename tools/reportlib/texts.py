"""Numbers as text: medians with their limits, tables of Markdown, what the hypervisor took."""
import statistics

NONE = "–"


def spread(values, digits=0):
    """Median, minimum and maximum; a single one alone."""
    values = [value for value in values if value is not None]
    if not values:
        return NONE
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def median(values):
    return statistics.median(values)


def number(value, digits=0):
    return NONE if value is None else f"{value:,.{digits}f}"


def table(heads, rows, texts=1):
    """Lines of Markdown. The first `texts` columns are text, the others numbers."""
    marks = ["---" if index < texts else "---:" for index in range(len(heads))]
    return [line([*heads]), line(marks), *[line([str(cell) for cell in row]) for row in rows]]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def percentile(values, share):
    """Of a list that is not empty: the smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    index = int(share * len(ordered))
    return ordered[min(index, len(ordered) - 1)]


def steals(thing):
    """Every number called "steal" in what an experiment kept, however deep."""
    if isinstance(thing, dict):
        own = [thing["steal"]] if isinstance(thing.get("steal"), (int, float)) else []
        return own + [value for key, part in thing.items() if key != "steal" for value in steals(part)]
    if isinstance(thing, list):
        return [value for part in thing for value in steals(part)]
    return []


def steal_text(results):
    """A sentence on how much of the processors the hypervisor gave to others meanwhile."""
    found = steals(results)
    if not found:
        return "How much CPU time the hypervisor took away meanwhile was not recorded."
    return (f"The hypervisor took {statistics.median(found) * 100:.1f} % of the CPU time away in the median "
            f"measurement, {max(found) * 100:.1f} % in the worst.")


def plural(count, word, ending="s"):
    return f"{count:,} {word}" + ("" if count == 1 else ending)


def times(value):
    """How many times as much, readable at any size."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
