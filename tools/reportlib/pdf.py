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

# Tables shrink and wrap before they are cut; a table's row, a plot and a heading stay on one page.
STYLE = """<style>
@page { size: A4; margin: 15mm 14mm 16mm 14mm;
        @bottom-center { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #666 } }
html { font-size: 9.5pt }
body { font-family: "Liberation Sans", "DejaVu Sans", Arial, Helvetica, sans-serif; line-height: 1.35;
       max-width: none; margin: 0; padding: 0; color: #111; text-align: left; hyphens: manual }
header#title-block-header { display: none }
h1 { font-size: 19pt } h2 { font-size: 14pt; margin-top: 16pt; border-bottom: 0.5pt solid #bbb }
h3 { font-size: 11.5pt } h1, h2, h3, h4 { break-after: avoid }
table { border-collapse: collapse; width: auto; max-width: 100%; font-size: 7.6pt; margin: 6pt 0;
        display: table; overflow: visible }
td, th { border: 0.4pt solid #ccc; padding: 1.6pt 3.4pt; overflow-wrap: anywhere; vertical-align: top }
th { background: #f2f2f2; overflow-wrap: break-word } tr { break-inside: avoid }
thead { display: table-header-group }
img { max-width: 88%; display: block; margin: 4pt auto; break-inside: avoid }
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
        return [*start, "--to", "html5", "--include-in-header", style, "--metadata",
                "pagetitle=Cairn: the report", *[f"--pdf-engine-opt={o}" for o in options]]
    return [*start, "--variable", "geometry:a4paper,landscape,margin=14mm", "--variable", "fontsize=10pt",
            "--variable", "colorlinks=true"]


def with_pixels(text):
    """The page with its plots as PNG: LaTeX shows no SVG, and weasyprint chokes on gnuplot's."""
    return re.sub(r"(\]\(plots/[^)\s]+)\.svg\)", r"\1.png)", text)


def make(name, text, folder):
    """Writes FOLDER/report.pdf from Markdown whose images lie below FOLDER."""
    output = os.path.join(folder, "report.pdf")
    with tempfile.TemporaryDirectory(prefix="report-pdf-") as space:
        source, style = os.path.join(space, "report.md"), os.path.join(space, "style.html")
        with open(source, "w", encoding="utf-8") as file:
            file.write(with_pixels(text))
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
