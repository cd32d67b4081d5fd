"""What all experiments are told."""
from dataclasses import dataclass


@dataclass
class Options:
    programs: str            # directory of Cairn's programs
    directory: str           # where temporary data goes
    rounds: int = 5          # interleaved, of each comparison
    seconds: int = 5         # of each measurement
    keys: int = 100_000      # records, where an experiment does not need its own number
    quick: bool = False      # everything as small as it goes: proves that it works, measures nothing
