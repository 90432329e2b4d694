"""Formats figures as Markdown tables."""

import statistics


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def figure(value):
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(columns, rows):
    """`columns` are the headings, beginning with that of the row names; a row is its name and its figures."""
    body = [[row[0], *map(figure, row[1:])] for row in rows]
    widths = [max(len(row[at]) for row in [columns, *body]) for at in range(len(columns))]

    def line(cells):
        aligned = [c.ljust(w) if at == 0 else c.rjust(w) for at, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(aligned) + " |"

    rule = "|".join("-" * (w + 2) if at == 0 else "-" * (w + 1) + ":" for at, w in enumerate(widths))
    return "\n".join([line(columns), f"|{rule}|", *map(line, body)])
