"""The one-shot commands: exact output and exit codes, any bytes, limits."""
import json
import os
import socket
import unittest

from cluster import ROOT, CairnTest, clean_environment, program, run

KEY_LIMIT, VALUE_LIMIT = 480, 1 << 20
# A command line cannot hold the byte 0x00; everything else goes through arguments.
ALL_BUT_NUL = bytes(range(1, 256))
ALL_BYTES = bytes(range(256))


class Commands(CairnTest):
    def setUp(self):
        self.c = self.cluster(servers=1)

    def test_put_says_whether_the_key_existed(self):
        self.expect(self.c.cli("put", "k", "v"), 0, "PUT k not_found\n")
        self.expect(self.c.cli("put", "k", "w"), 0, "PUT k found\n")

    def test_get_prints_the_raw_value(self):
        self.c.cli("put", "k", "a value with spaces")
        self.expect(self.c.cli("get", "k"), 0, "a value with spaces\n")

    def test_get_of_an_absent_key_exits_with_1_and_prints_nothing(self):
        self.expect(self.c.cli("get", "absent"), 1, "")

    def test_get_with_version(self):
        self.c.cli("put", "k", "v")
        self.c.cli("put", "k", "v")
        self.c.cli("swap", "k", "v")
        result = self.expect(self.c.cli("get", "k", "--with-version"), 0)
        self.assertIn("3", result.text)
        self.assertIn("v", result.text)

    def test_swap_prints_the_old_value_or_null(self):
        self.expect(self.c.cli("swap", "k", "1"), 0, "null\n")
        self.expect(self.c.cli("swap", "k", "2"), 0, "1\n")
        self.expect(self.c.cli("get", "k"), 0, "2\n")

    def test_delete_counts_what_existed(self):
        self.c.cli("put", "a", "1")
        self.c.cli("put", "b", "1")
        self.expect(self.c.cli("delete", "a", "b", "c"), 0, "2\n")
        self.expect(self.c.cli("delete", "a"), 0, "0\n")
        self.expect(self.c.cli("get", "a"), 1, "")

    def test_scan_is_ordered_and_includes_both_ends(self):
        for key in ("b", "a", "ca", "c", "d", "B"):
            self.c.cli("put", key, "v" + key)
        self.expect(self.c.cli("scan", "a", "c"), 0, "a\tva\nb\tvb\nc\tvc\n")
        self.expect(self.c.cli("scan", "a", "ca", "--limit", "2"), 0, "a\tva\nb\tvb\n")
        self.expect(self.c.cli("scan", "x", "z"), 0, "")
        self.expect(self.c.cli("scan", "c", "a"), 0, "")

    def test_if_version_0_means_only_if_absent(self):
        self.expect(self.c.cli("put", "k", "1", "--if-version", "0"), 0, "PUT k not_found\n")
        self.expect(self.c.cli("put", "k", "2", "--if-version", "0"), 1)
        self.expect(self.c.cli("get", "k"), 0, "1\n")

    def test_if_version_writes_only_over_that_version(self):
        self.c.cli("put", "k", "1")
        self.expect(self.c.cli("put", "k", "2", "--if-version", "1"), 0, "PUT k found\n")
        self.expect(self.c.cli("put", "k", "3", "--if-version", "1"), 1)
        self.expect(self.c.cli("put", "absent", "3", "--if-version", "1"), 1)
        self.expect(self.c.cli("get", "k"), 0, "2\n")
        self.expect(self.c.cli("get", "absent"), 1, "")

    def test_a_deleted_key_starts_again_at_version_1(self):
        self.c.cli("put", "k", "1")
        self.c.cli("put", "k", "2")
        self.c.cli("delete", "k")
        self.expect(self.c.cli("put", "k", "3", "--if-version", "0"), 0, "PUT k not_found\n")
        self.expect(self.c.cli("put", "k", "4", "--if-version", "1"), 0, "PUT k found\n")

    def test_a_value_of_dash_reads_stdin(self):
        self.expect(self.c.cli("put", "k", "-", stdin=ALL_BYTES), 0, "PUT k not_found\n")
        self.expect(self.c.cli("get", "k"), 0, ALL_BYTES + b"\n")
        self.expect(self.c.cli("swap", "k", "-", stdin=b""), 0, ALL_BYTES + b"\n")
        self.expect(self.c.cli("get", "k"), 0, "\n")

    def test_empty_values_are_values(self):
        self.expect(self.c.cli("put", "k", ""), 0)
        self.expect(self.c.cli("get", "k"), 0, "\n")
        self.expect(self.c.cli("swap", "k", "x"), 0, "\n")

    def test_every_byte_but_nul_in_keys_and_values(self):
        for byte in ALL_BUT_NUL[::17] + b"\t\n\r\xff\x7f\x80":
            key = b"k" + bytes([byte]) + b"z"
            self.expect(self.c.cli("put", key, bytes([byte])), 0)
            self.expect(self.c.cli("get", key), 0, bytes([byte]) + b"\n")
        self.expect(self.c.cli("put", ALL_BUT_NUL, "x"), 0)
        self.expect(self.c.cli("get", ALL_BUT_NUL), 0, "x\n")

    def test_scan_orders_bytes_as_unsigned(self):
        keys = [b"k\x7f", b"k\x80", b"k\xff", b"k\x01", b"k"]
        for key in keys:
            self.c.cli("put", key, "v")
        result = self.expect(self.c.cli("scan", b"k", b"k\xff"), 0)
        self.assertEqual(sorted(keys), [line.split(b"\t")[0] for line in result.out.split(b"\n")[:-1]])

    def test_the_longest_key_and_value_are_taken(self):
        key, value = b"k" * KEY_LIMIT, bytes(VALUE_LIMIT)
        self.expect(self.c.cli("put", key, "-", stdin=value), 0)
        self.expect(self.c.cli("get", key), 0, value + b"\n")

    def test_what_is_larger_is_refused_and_the_limit_told(self):
        for command in (["put", "k" * (KEY_LIMIT + 1), "v"], ["get", "k" * (KEY_LIMIT + 1)],
                        ["swap", "k" * (KEY_LIMIT + 1), "v"], ["delete", "k" * (KEY_LIMIT + 1)],
                        ["scan", "k" * (KEY_LIMIT + 1), "z"]):
            result = self.expect(self.c.cli(*command), 2, "")
            self.assertIn(str(KEY_LIMIT), result.err.decode())
        result = self.expect(self.c.cli("put", "k", "-", stdin=bytes(VALUE_LIMIT + 1)), 2, "")
        self.assertRegex(result.err.decode(), r"1 ?MiB|1048576")

    def test_empty_keys_are_refused(self):
        for command in (["put", "", "v"], ["get", ""], ["swap", "", "v"], ["delete", ""]):
            self.expect(self.c.cli(*command), 2, "")

    def test_ttl_out_of_range_is_refused(self):
        for ttl in ("-1", "abc", "", "99999999999999999999"):
            self.expect(self.c.cli("put", "k", "v", "--ttl", ttl), 2, "")

    def test_dashes_end_the_options(self):
        self.expect(self.c.cli("put", "--", "--key", "--value"), 0, "PUT --key not_found\n")
        self.expect(self.c.cli("get", "--", "--key"), 0, "--value\n")

    def test_json(self):
        self.c.cli("put", "k", "v")
        for command, code in ((["get", "k"], 0), (["put", "k", "w"], 0), (["swap", "k", "x"], 0),
                              (["scan", "a", "z"], 0), (["delete", "k"], 0), (["get", "k"], 1)):
            result = self.expect(self.c.cli("--json", *command), code)
            if result.out:
                json.loads(result.out)

    def test_status_names_servers_and_partitions(self):
        table = self.expect(self.c.cli("status"), 0).text
        self.assertIn(self.c.addresses[0], table)
        status = self.c.status()
        self.assertEqual(16, len(status["partitions"]))
        self.assertEqual({0}, {p["primary"] for p in status["partitions"]})

    def test_server_is_another_name_for_manager(self):
        done = run([program("cairn"), "--server", self.c.manager_address, "put", "k", "v"])
        self.expect(done, 0, "PUT k not_found\n")

    def test_options_come_from_the_environment_and_the_command_line_wins(self):
        environment = clean_environment(CAIRN_MANAGER=self.c.manager_address)
        self.expect(run([program("cairn"), "put", "k", "v"], environment=environment), 0)
        environment = clean_environment(CAIRN_MANAGER="127.0.0.1:1", CAIRN_TIMEOUT="5000")
        self.expect(self.c.cli("get", "k", environment=environment), 0, "v\n")

    def test_no_cache_is_accepted(self):
        self.expect(self.c.cli("--no-cache", "put", "k", "v"), 0)

    def test_without_a_command_stdin_is_the_workload(self):
        self.expect(self.c.cli(stdin=b"PUT k v\nGET k\nSTOP\n"), 0, "PUT k not_found\nGET k v\nSTOP\n")


class Mistakes(CairnTest):
    def test_wrong_usage_is_one_error_line_and_exit_code_2(self):
        for arguments in (["--unknown-option"], ["unknown-command"], ["put"], ["put", "k"],
                          ["put", "k", "v", "extra"], ["get"], ["get", "a", "b"], ["swap", "k"],
                          ["delete"], ["scan"], ["scan", "a"], ["--timeout", "abc", "get", "k"],
                          ["--timeout"], ["--timeout", "-5", "get", "k"], ["--manager", "nonsense", "get", "k"],
                          ["--manager", "127.0.0.1:99999", "get", "k"], ["--manager", "", "get", "k"],
                          ["put", "k", "v", "--if-version", "x"], ["scan", "a", "b", "--limit", "x"],
                          ["get", "k", "--unknown"]):
            result = run([program("cairn"), *arguments])
            self.expect(result, 2, "")

    def test_an_unreachable_manager_times_out(self):
        result = run([program("cairn"), "--manager", "127.0.0.1:1", "--timeout", "300", "get", "k"])
        self.assertIn(result.code, (2, 3), result)
        self.expect(result, result.code, "")
        self.assertIn("127.0.0.1:1", result.err.decode())

    def test_a_manager_that_never_answers_times_out(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            result = run([program("cairn"), "--manager", address, "--timeout", "500", "get", "k"])
            self.assertIn(result.code, (2, 3), result)
            self.expect(result, result.code, "")

    def test_a_write_that_could_not_be_sent_is_told_as_not_applied(self):
        result = run([program("cairn"), "--manager", "127.0.0.1:1", "--timeout", "300", "put", "k", "v"])
        self.assertIn(result.code, (2, 3), result)
        self.assertNotIn("unknown", result.err.decode().lower())


class Programs(CairnTest):
    def test_help_and_version_of_every_program(self):
        with open(os.path.join(ROOT, "VERSION")) as file:
            version = file.read().strip()
        for name in ("cairn", "cairn-manager", "cairn-server"):
            result = run([program(name), "--version"])
            self.expect(result, 0)
            self.assertIn(version, result.text)
            self.assertEqual(b"", result.err)
            result = run([program(name), "--help"])
            self.expect(result, 0)
            self.assertIn("--help", result.text)
            self.assertEqual(b"", result.err)

    def test_help_names_every_option_of_the_contract(self):
        options = {"cairn": ["manager", "timeout", "json", "no-cache"],
                   "cairn-manager": ["listen", "servers", "replicas", "partitions", "data"],
                   "cairn-server": ["id", "manager", "listen", "data"]}
        for name, wanted in options.items():
            text = run([program(name), "--help"]).text
            for option in wanted:
                self.assertIn("--" + option, text, name)

    def test_servers_refuse_wrong_options(self):
        folder = self.temporary()
        for arguments in (["cairn-server"], ["cairn-server", "--id", "x"], ["cairn-server", "--nope"],
                          ["cairn-server", "--id", "0", "--manager", "127.0.0.1:1", "--listen", "bad",
                           "--data", folder],
                          ["cairn-server", "--id", "0", "--manager", "127.0.0.1:1", "--listen",
                           "127.0.0.1:2", "--data", folder, "--scheduling", "idle"],
                          ["cairn-manager"], ["cairn-manager", "--nope"],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers", "", "--data", folder],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers", "a:1,,b:2", "--data", folder],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers", "127.0.0.1:2", "--data",
                           folder, "--partitions", "0"],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers", "127.0.0.1:2", "--data",
                           folder, "--partitions", "16385"],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers", "127.0.0.1:2", "--data",
                           folder, "--replicas", "2"],
                          ["cairn-manager", "--listen", "127.0.0.1:1", "--servers",
                           "127.0.0.1:2,127.0.0.1:2", "--data", folder]):
            result = run([program(arguments[0]), *arguments[1:]])
            self.assertEqual(2, result.code, (arguments, result))
            self.assertRegex(result.err.decode(), r"(?m)^ERROR: ", arguments)

    def test_servers_are_scheduled_as_they_are_told(self):
        for options, policy in (([], os.SCHED_BATCH), (["--scheduling", "normal"], os.SCHED_OTHER)):
            c = self.cluster(servers=1, partitions=1, server_options=options)
            self.assertEqual(policy, os.sched_getscheduler(c.servers[0].process.pid), options)

    def test_options_of_servers_come_from_the_environment(self):
        result = run([program("cairn-server")], environment=clean_environment(CAIRN_ID="not-a-number"))
        self.assertEqual(2, result.code, result)
        self.assertIn("not-a-number", result.err.decode())


if __name__ == "__main__":
    unittest.main()
