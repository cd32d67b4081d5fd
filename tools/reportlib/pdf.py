"""Makes a PDF of the report with pandoc and whatever engine is there; none of them is demanded."""
import os
import re
import shutil
import subprocess
import tempfile

from benchlib import BenchError

HTML = ["weasyprint", "wkhtmltopdf"]
ENGINES = ["xelatex", "lualatex", "pdflatex", "tectonic", *HTML]
SECONDS = 300

# Points: of the text's width upright and across, of a table's letters at most, at least upright, and at
# least; and how wide a letter is, of its height, and what stands beside a cell's text.
UPRIGHT, ACROSS = 510.0, 755.0
LARGEST, SMALLEST_UPRIGHT, SMALLEST = 7.6, 6.0, 4.0
LETTER, BESIDE = 0.56, 7.5

# A table's row, a plot and a heading stay on one page.
STYLE = """<style>
@page { size: A4; margin: 15mm 14mm 16mm 14mm;
        @bottom-center { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #666 } }
@page across { size: A4 landscape }
.across { page: across }
html { font-size: 9.5pt; background: white }
body { font-family: "Liberation Sans", "DejaVu Sans", Arial, Helvetica, sans-serif; line-height: 1.35;
       max-width: none; margin: 0; padding: 0; color: #111; text-align: left; hyphens: manual }
header#title-block-header { display: none }
h1 { font-size: 19pt } h2 { font-size: 14pt; margin-top: 16pt; border-bottom: 0.5pt solid #bbb }
h3 { font-size: 11.5pt } h1, h2, h3, h4 { break-after: avoid }
table { border-collapse: collapse; width: auto; max-width: 100%; font-size: inherit; margin: 6pt 0;
        display: table; overflow: visible }
td, th { border: 0.4pt solid #ccc; padding: 1.6pt 3.4pt; overflow-wrap: break-word; vertical-align: top }
th { background: #f2f2f2 } tr { break-inside: avoid }
thead { display: table-header-group }
img { max-width: 80%; display: block; margin: 4pt auto; break-inside: avoid }
figure { margin: 4pt 0; break-inside: avoid } figcaption { display: none }
code, pre { font-family: "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 8pt }
pre { white-space: pre-wrap; background: #f7f7f7; padding: 4pt } a { color: #00508a }
</style>
"""


def engine():
    """The first that is there, or None; and None without pandoc."""
    if shutil.which("pandoc") is None:
        return None
    return next((name for name in ENGINES if shutil.which(name)), None)


def command(name, source, style, output):
    start = ["pandoc", "--from", "gfm", source, "--output", output, f"--pdf-engine={name}"]
    if name in HTML:
        options = ["--enable-local-file-access"] if name == "wkhtmltopdf" else []
        return [*start, "--to", "html5", "--wrap=none", "--include-in-header", style, "--metadata",
                "pagetitle=Cairn: the report", *[f"--pdf-engine-opt={o}" for o in options]]
    return [*start, "--variable", "geometry:a4paper,landscape,margin=14mm", "--variable", "fontsize=10pt",
            "--variable", "colorlinks=true"]


def with_pixels(text):
    """The page with its plots as PNG: LaTeX shows no SVG, and weasyprint chokes on gnuplot's."""
    return re.sub(r"(\]\(plots/[^)\s]+)\.svg\)", r"\1.png)", text)


def letters_needed(rows):
    """How many letters stand side by side when every cell is broken wherever that is possible."""
    cells = [re.split(r"(?<!\\)\|", row.strip().strip("|")) for row in rows]
    columns = [[row[at] for row in cells if at < len(row)] for at in range(len(cells[0]))]
    # What a range begins with keeps its dash.
    return sum(max(len(word) for cell in column for word in re.split(r"\s+|(?<=–)", cell))
               for column in columns)


def table_style(rows):
    """(class, size of letters in points) with which a table of these lines of Markdown is not cut."""
    columns, letters = len(re.findall(r"(?<!\\)\|", rows[0])) - 1, letters_needed([rows[0], *rows[2:]])

    def size(width):
        return (width - columns * BESIDE) / (letters * LETTER)
    if size(UPRIGHT) >= SMALLEST_UPRIGHT:
        return "upright", min(LARGEST, size(UPRIGHT))
    return "across", max(SMALLEST, min(LARGEST, size(ACROSS)))


def with_fitting_tables(text):
    """The page with each table in an element that tells how large its letters may be."""
    lines, fitted, at = text.split("\n"), [], 0
    while at < len(lines):
        end = at
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        if end - at >= 2 and re.match(r"\|[\s:|-]+\|\s*$", lines[at + 1]):
            kind, size = table_style(lines[at:end])
            fitted += [f'<div class="{kind}" style="font-size: {size:.1f}pt">', "", *lines[at:end], "",
                       "</div>"]
            at = end
        else:
            fitted.append(lines[at])
            at += 1
    return "\n".join(fitted)


def make(name, text, folder):
    """Writes FOLDER/report.pdf from Markdown whose images lie below FOLDER."""
    output = os.path.join(folder, "report.pdf")
    with tempfile.TemporaryDirectory(prefix="report-pdf-") as space:
        source, style = os.path.join(space, "report.md"), os.path.join(space, "style.html")
        with open(source, "w", encoding="utf-8") as file:
            file.write(with_pixels(with_fitting_tables(text) if name in HTML else text))
        with open(style, "w", encoding="utf-8") as file:
            file.write(STYLE)
        made = os.path.join(space, "report.pdf")
        try:
            done = subprocess.run(command(name, source, style, made), cwd=folder, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                                  check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"no PDF from pandoc with {name} within {SECONDS} s") from error
        if done.returncode != 0 or not os.path.exists(made):
            raise BenchError(f"no PDF: pandoc with {name}: {done.stdout.decode().strip()[-500:]}")
        shutil.copyfile(made, output + ".tmp")
    os.replace(output + ".tmp", output)
