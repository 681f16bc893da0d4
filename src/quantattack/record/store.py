"""The record of an evaluation: a run's file, and a view of each model, data set and threat in it."""

from quantattack.record.record import Record, records_of
from quantattack.record.run_file import RunFile


class Store(RunFile):
    """One run's SQLite file, or the same in memory where no folder is asked for."""

    def records(self) -> list[Record]:
        """Return a view of each model, data set and threat."""
        return records_of(self)
