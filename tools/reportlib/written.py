"""Bytes written: by processes, as the kernel counts them, and to the device below a directory."""
import os
import signal

SECTOR_BYTES = 512


def by_process(process):
    """Bytes that it sent to the disk, or will; also of one that has ended and is not yet waited for."""
    with open(f"/proc/{process.child.pid}/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("write_bytes:"))


def to_device(folder):
    """Bytes that everybody wrote to the device of this directory, once all is written back; None if
    the kernel counts none for it."""
    os.sync()
    number = os.stat(folder).st_dev
    with open("/proc/diskstats", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[:2] == [str(os.major(number)), str(os.minor(number))]:
                return int(fields[9]) * SECTOR_BYTES
    return None


def end_cleanly(processes):
    """SIGTERM to all of them, which checkpoint; what each had written in the end."""
    for process in processes:
        process.child.send_signal(signal.SIGTERM)
    for process in processes:
        os.waitid(os.P_PID, process.child.pid, os.WEXITED | os.WNOWAIT)
    found = [by_process(process) for process in processes]
    for process in processes:
        process.child.wait()
    return found
