"""A run's file together with one `Record` for each model, data set and threat in it."""

from quantattack.record.record import Record, records_of
from quantattack.record.record_file import RecordFile


class Store(RecordFile):
    """One run's SQLite database, on disk or, without a folder, in memory."""

    def records(self) -> list[Record]:
        """Return one `Record` for each model, data set and threat, in the order in which they were run."""
        return records_of(self)
