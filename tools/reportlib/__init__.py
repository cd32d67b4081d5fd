"""The report: experiments, each in a module of its own, and what puts them together.

tools/report runs the experiments (or takes what an earlier run left under report/data/) and writes
report/report.md with its plots. An experiment is a module of this package that is named in
catalogue.py and has

    TITLE                 a heading
    estimate(options)     seconds that run() will take, roughly
    run(options, space, progress)
                          measures and returns what is kept: anything that JSON can hold
    section(results)      lines of Markdown: tables, and what the figures mean
    charts(results)       a list of chart.Chart; section() shows one with chart.image(name)

options: see options.py. space: a benchlib.Workspace; what is started is added to it. progress(text):
says what goes on, a short line. run() measures on this machine only, and starts and ends all it
needs; section() and charts() see nothing but the results, so that a report can be made again
without measuring.

What is kept is report/data/NAME.json: {"name", "schema", "commit", "date", "facts", "options",
"seconds", "results"}.
"""
