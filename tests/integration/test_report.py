"""The report: what is kept is not measured again, what fails leaves the rest alone, and it says so."""
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from cluster import BIN, ROOT, CairnTest, clean_environment, run, wait_until

TOOLS = os.path.join(ROOT, "tools")
# The tool, but for looking at the machine, which takes seconds.
START = ("import runpy, sys; sys.path.insert(0, sys.argv[1]); import benchlib; "
         "benchlib.facts = lambda *unused: [('kernel', '6.1')]; benchlib.commit = lambda: 'abc1234'; "
         "sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')")

MODULE = '''
from reportlib.chart import Chart, Series, image
TITLE = "The part NAME"
def estimate(options):
    return 100
def run(options, space, progress):
    progress("under way")
    with open("LOG", "a") as file:
        file.write("NAME\\n")
    BODY
    return {"figure": 42, "seconds": options.seconds}
def section(results):
    return ["## Inner", "", f"The figure is {results['figure']}.", "", image("NAME"), "", "Rest."]
def charts(results):
    return [Chart("NAME", "A title with `touch bad`, \\\\ and \\"quotes\\"", "x, s", "y, 1/s",
                  [Series("one", [(1, 2.0), (2, results["figure"])]), Series("two_b", [(1, 1), (2, 3)])],
                  **SETTINGS)]
'''


class ReportTest(CairnTest):
    def setUp(self):
        self.folder = self.temporary()
        self.output, self.log = os.path.join(self.folder, "out"), os.path.join(self.folder, "log")
        self.modules = os.path.join(self.folder, "modules")
        os.mkdir(self.modules)

    def write(self, path, text):
        path = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def read(self, path="out/report.md"):
        with open(os.path.join(self.folder, path)) as file:
            return file.read()

    def module(self, name, body="pass", **settings):
        text = MODULE.replace("NAME", name).replace("LOG", self.log).replace("BODY", body)
        self.write(f"modules/{name}.py", text.replace("SETTINGS", repr(settings)))

    def catalogue(self, *names):
        self.write("modules/catalogue.py", f"EXPERIMENTS = {list(names)!r}\n")

    def command(self, *arguments):
        return [sys.executable, "-c", START, TOOLS, os.path.join(TOOLS, "report"), "--experiments",
                self.modules, "--output", self.output, "--programs", BIN, "--directory",
                os.path.join(self.folder, "tmp"), *arguments]

    def report(self, *arguments, path=None, pdf=False):
        """Without gnuplot, unless another `path` has it: it takes longest."""
        environment = clean_environment(PATH=path or self.modules)
        return run(self.command(*([] if pdf else ["--no-pdf"]), *arguments), environment=environment)

    def measured(self):
        return self.read("log").split() if os.path.exists(self.log) else []

    def change_kept(self, name, **changes):
        kept = json.loads(self.read(f"out/data/{name}.json"))
        self.write(f"out/data/{name}.json", json.dumps({**kept, **changes}))


class Measuring(ReportTest):
    def test_what_is_kept_is_not_measured_again(self):
        self.catalogue("a", "b")
        self.module("a")
        self.module("b")
        done = self.report("--only", "a")
        self.assertEqual(0, done.code, done)
        self.assertIn("Not measured yet: `tools/report --only b` does.", self.read())
        done = self.report()
        self.assertEqual((0, ["a", "b"]), (done.code, self.measured()), done)
        os.unlink(os.path.join(self.output, "report.md"))
        done = self.report()
        self.assertEqual((0, ["a", "b"]), (done.code, self.measured()), done)
        self.assertIn("The figure is 42.", self.read())
        self.assertEqual(0, self.report("--full", "--only", "b").code)
        self.assertEqual(["a", "b", "b"], self.measured())

    def test_progress_and_the_time_left_are_told(self):
        self.catalogue("a", "b")
        self.module("a")
        self.module("b")
        said = self.report().err.decode()
        self.assertIn("[1/2] a: The part a; 0 s passed, about 3 min 20 s left", said)
        self.assertRegex(said, r"\[1/2\] a \+0 s: under way \(about .* left\)")
        # The first took no time, so the second will not take what it says.
        self.assertRegex(said, r"\[2/2\] b: The part b; 0 s passed, about 20 s left")

    def test_one_that_fails_leaves_the_others_and_its_section_says_so(self):
        self.catalogue("a", "lost", "b")
        self.module("a", "raise ValueError('no luck')")
        self.module("b")
        done = self.report()
        self.assertEqual(1, done.code, done)
        self.assertEqual(["a", "b"], self.measured())
        text, said = self.read(), done.err.decode()
        self.assertIn("**Measuring failed: ValueError: no luck (a.py, line ", text)
        self.assertIn("**Measuring failed: it cannot be loaded: No module named 'lost'.**", text)
        self.assertIn("The figure is 42.", text)
        self.assertIn("ERROR: a: ValueError: no luck", said)
        self.assertIn("ERROR: lost: it cannot be loaded", said)
        self.assertEqual(["b.json"], os.listdir(os.path.join(self.output, "data")))

    def test_figures_of_an_earlier_run_are_told_from_new_ones_that_failed(self):
        self.catalogue("a")
        self.module("a")
        self.assertEqual(0, self.report().code)
        self.module("a", "raise ValueError('no luck')")
        self.assertEqual(1, self.report("--full").code)
        self.assertIn("What follows is of an earlier run.", self.read())
        self.module("a")
        # Still to be measured anew.
        self.assertEqual(0, self.report().code)
        self.assertEqual(["a", "a", "a"], self.measured())
        self.assertNotIn("earlier run", self.read())

    def test_an_interrupted_run_ends_what_it_started_and_goes_on_later(self):
        self.catalogue("a", "b", "c")
        self.module("a")
        self.module("b")
        self.module("c")
        self.assertEqual(0, self.report().code)
        self.module("b", "import benchlib, time\n"
                         "    started = benchlib.Process('sleeper', ['sleep', '1000'], space.folder)\n"
                         "    space.add(started)\n"
                         f"    open({self.folder + '/pid'!r}, 'w').write(f'{{started.child.pid}}\\n')\n"
                         "    time.sleep(1000)")
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen(self.command("--no-pdf", "--full"), env=clean_environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wait_until(lambda: os.path.exists(self.folder + "/pid") and self.read("pid").endswith("\n"),
                       "b runs")
            process.send_signal(number)
            said = process.communicate(timeout=20)[1].decode()
            self.assertEqual(2, process.returncode)
            self.assertIn("goes on from there", said)
            self.assertFalse(os.path.exists(f"/proc/{int(self.read('pid'))}"))
            self.assertEqual([], os.listdir(os.path.join(self.folder, "tmp")))
            os.unlink(self.folder + "/pid")
        os.unlink(self.log)
        self.module("b")
        self.assertEqual(0, self.report().code)
        self.assertEqual(["b", "c"], self.measured())

    def test_quick_figures_are_marked_and_no_substitute_for_real_ones(self):
        self.catalogue("a")
        self.module("a")
        self.assertEqual(0, self.report("--quick").code)
        self.assertIn("Its figures mean nothing", self.read())
        self.assertEqual(0, self.report("--quick").code)
        self.assertEqual(["a"], self.measured())
        self.assertEqual(0, self.report("--seconds", "3").code)
        self.assertEqual(["a", "a"], self.measured())
        self.assertNotIn("mean nothing", self.read())
        self.assertEqual(3, json.loads(self.read("out/data/a.json"))["results"]["seconds"])

    def test_results_of_another_schema_are_measured_again(self):
        self.catalogue("a")
        self.module("a")
        self.assertEqual(0, self.report().code)
        self.change_kept("a", schema=0)
        done = self.report()
        self.assertEqual((0, ["a", "a"]), (done.code, self.measured()), done)
        self.assertIn("measure again", done.err.decode())

    def test_wrong_usage(self):
        self.catalogue("a")
        self.module("a")
        self.assertEqual(2, self.report("--only", "b").code)
        self.assertEqual(2, self.report("--rounds", "0").code)
        done = self.report("--programs", self.folder)
        self.expect(done, 2, "")
        self.assertIn("build first", done.err.decode())


class Page(ReportTest):
    def setUp(self):
        super().setUp()
        self.catalogue("a", "b")
        self.module("a")
        self.module("b")

    def kept(self, name, **changes):
        self.write(f"out/data/{name}.json", json.dumps({
            "name": name, "schema": 1, "commit": "abc1234", "date": "2026-01-02 03:04:05",
            "facts": [["kernel", "6.1"], ["date", "2026-01-02"]], "options": {"rounds": 5, "seconds": 5},
            "seconds": 61, "results": {"figure": 42}, **changes}))

    def test_it_names_commit_date_and_machine(self):
        self.kept("a")
        self.kept("b", commit="def5678", date="2026-01-03 03:04:05", facts=[["kernel", "6.2"]])
        self.assertEqual(0, self.report().code)
        text = self.read()
        self.assertIn("Commit **def5678**, 2026-01-03; some parts at other commits", text)
        self.assertIn("- kernel: 6.2\n", text)
        first, second = text.split("\n## The part a\n")[1].split("\n## The part b\n")
        self.assertIn("Measured at commit abc1234 (2026-01-02 03:04:05), not at def5678", first)
        self.assertIn("Measured with another machine or software: kernel: 6.1.", first)
        self.assertNotIn("Measured ", second)
        self.assertIn("| The part a | abc1234 | 2026-01-02 03:04:05 | 5 × 5 | 1 min 01 s |", text)

    def test_contents_lead_to_every_part_and_parts_come_in_order(self):
        self.kept("a")
        self.kept("b")
        self.write("out/performance.md", "# Work\n\nFaster by `x`.\n")
        self.write("out/other.md", "# Another page\n\nWritten by `tools/other`: so.\n\n- date: 2026-01-01\n")
        self.assertEqual(0, self.report().code)
        text = self.read()
        self.assertIn("- [The part a](#the-part-a)\n", text)
        headings = [line[3:] for line in text.split("\n") if line.startswith("## ")]
        self.assertEqual(["Where and when", "The design in a page", "The part a", "The part b",
                          "Performance work", "Pages of their own"], headings)
        self.assertIn("\n### Inner\n", text)
        self.assertIn("Faster by `x`.", text)
        self.assertIn("- [Another page](other.md): `tools/other`, 2026-01-01\n", text)

    def test_without_gnuplot_there_are_no_images_and_it_is_told(self):
        self.kept("a")
        self.kept("b")
        done = self.report()
        self.assertEqual(0, done.code, done)
        self.assertIn("gnuplot is not installed", done.err.decode())
        self.assertIn("gnuplot is not installed", self.read())
        self.assertNotIn("![", self.read())
        self.assertIn("Rest.", self.read())

    def test_plots_are_svg_and_png(self):
        if shutil.which("gnuplot") is None:
            self.skipTest("gnuplot is not installed (tools/install-deps)")
        self.module("b", kind="bars", log_y=True)
        self.kept("a")
        self.kept("b")
        self.assertEqual(0, self.report(path=os.environ["PATH"]).code)
        for name in ("a", "b", "design"):
            self.assertIn(f"](plots/{name}.svg)\n", self.read())
            xml.etree.ElementTree.parse(os.path.join(self.output, "plots", name + ".svg"))
            with open(os.path.join(self.output, "plots", name + ".png"), "rb") as file:
                self.assertEqual(b"\x89PNG\r\n\x1a\n", file.read(8))
        self.assertIn("two_b", self.read("out/plots/a.svg"))
        self.assertIn("touch bad", self.read("out/plots/a.svg"))
        self.assertFalse(os.path.exists("bad"))
        self.assertEqual([], [n for n in os.listdir(os.path.join(self.output, "plots")) if "tmp" in n])

    def test_a_plot_that_fails_is_left_out_and_told(self):
        if shutil.which("gnuplot") is None:
            self.skipTest("gnuplot is not installed (tools/install-deps)")
        self.module("a", kind="pie")
        self.kept("a")
        self.kept("b")
        done = self.report(path=os.environ["PATH"])
        self.assertEqual(1, done.code, done)
        self.assertIn("ERROR: the plot a: ", done.err.decode())
        self.assertNotIn("](plots/a.svg)", self.read())
        self.assertIn("](plots/b.svg)", self.read())

    def test_results_that_cannot_be_shown_leave_the_rest(self):
        self.kept("a", results={})
        self.kept("b")
        done = self.report()
        self.assertEqual(1, done.code, done)
        self.assertIn("**The results that are kept cannot be shown: KeyError: 'figure'", self.read())
        self.assertIn("The figure is 42.", self.read())

    def pandoc(self, text):
        """A directory with nothing but a pandoc that does this, and an engine."""
        for name, body in (("pandoc", text), ("weasyprint", "")):
            self.write(f"fake/{name}", f"#!/bin/sh\n{body}\n")
            os.chmod(os.path.join(self.folder, "fake", name), 0o755)
        return os.path.join(self.folder, "fake")

    def test_a_pdf_is_made_if_pandoc_and_an_engine_are_there(self):
        self.kept("a")
        self.kept("b")
        done = self.report(pdf=True)
        self.assertEqual(0, done.code, done)
        self.assertIn("No PDF was made", self.read())
        self.assertIn("no PDF, which needs pandoc", done.text)
        done = self.report(pdf=True, path=self.pandoc(
            'while [ "$1" != --output ]; do shift; done; echo made >"$2"'))
        self.assertEqual(0, done.code, done)
        self.assertIn("[report.pdf](report.pdf)", self.read())
        self.assertEqual("made\n", self.read("out/report.pdf"))
        done = self.report(pdf=True, path=self.pandoc("echo broken; exit 43"))
        self.assertEqual(1, done.code, done)
        self.assertIn("weasyprint: broken", done.err.decode())
        self.assertIn("No PDF was made: weasyprint failed.", self.read())


class Parts(CairnTest):
    """Functions of the report that are easier to look at alone."""

    def setUp(self):
        sys.path.insert(0, TOOLS)

    def test_estimates_are_corrected_by_how_true_they_were(self):
        from reportlib.progress import Progress
        now = [0.0]
        progress = Progress([("a", 100), ("b", 100), ("c", 100)], io.StringIO(), lambda: now[0])
        self.assertEqual(300, progress.left())
        progress.begin("A")
        now[0] = 220.0
        self.assertEqual(200, progress.left())
        progress.end()
        self.assertEqual(400, progress.left())
        progress.begin("B")
        now[0] = 270.0
        self.assertEqual(350, progress.left())
        progress.end("it failed")
        progress.begin("C")
        self.assertEqual(200, progress.left())

    def test_axes_cover_the_values_with_round_numbers(self):
        from reportlib.plot import Axis, number
        for values in ([0, 3], [7], [0], [0.001, 0.0042], [5, 98_765], [-3, 4], [1e6, 1.01e6]):
            axis = Axis("x", values, False, False)
            self.assertTrue(axis.low <= min(values) and max(values) <= axis.high, (values, axis.ticks))
            self.assertTrue(2 <= len(axis.ticks) <= 12, axis.ticks)
        for values in ([1, 300], [0.126], [80, 4_000_000], [1000], [3, 4], [0, 5]):
            axis = Axis("x", values, True, False)
            above = [v for v in values if v > 0]
            self.assertTrue(axis.low <= min(above) and max(above) <= axis.high, (values, axis.low))
            self.assertTrue(len([t for t in axis.ticks if axis.low <= t <= axis.high]) >= 2, axis.ticks)
        self.assertEqual(["0", "0.1", "2.5", "10,000"], [number(v) for v in (0, 0.1, 2.5, 10_000.0)])

    def test_wide_tables_of_the_pdf_get_small_letters_and_then_wide_pages(self):
        from reportlib.pdf import with_fitting_tables

        def fitted(columns):
            row = "|" + " 123,456 (123,000–124,000) |" * columns
            text = with_fitting_tables(f"before\n\n{row}\n|{' ---: |' * columns}\n{row}\n\nafter")
            self.assertEqual(2, text.count(row))
            self.assertTrue(text.startswith("before\n") and text.endswith("</div>\n\nafter"), text)
            return text
        self.assertIn('<div class="upright" style="font-size: 7.6pt">', fitted(4))
        self.assertRegex(fitted(10), r'<div class="upright" style="font-size: [67]\.\dpt">')
        self.assertRegex(fitted(14), r'<div class="across" style="font-size: [4567]\.\dpt">')

    def test_headings_of_sections_lie_below_the_page_s(self):
        from reportlib.render import lowered
        self.assertEqual(["### a", "#### b", "```", "# c", "```"],
                         lowered(["# a", "## b", "```", "# c", "```"], 3))


if __name__ == "__main__":
    unittest.main()
