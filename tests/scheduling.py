"""Which tests share a process, and which files are begun first."""

from xdist.scheduler import LoadFileScheduling

ROOM = "tests/reproduction"  # its files read one reproduction, which takes half a minute to run
LONG = (  # few tests that take many seconds: at the end one process would wait for the other
    "tests/fuzz/test_records.py",
    "tests/deployed/test_docs.py",
    "tests/certification/test_docs.py",
    "tests/training/test_killed.py",
    "tests/training/test_distributed.py",
    "tests/evaluation/test_interrupted.py",
    "tests/evaluation/test_large_records.py",
    "tests/evaluation/test_resume.py",
    "tests/cli/test_run_file.py",
    "tests/test_readme.py",
)


class Scheduling(LoadFileScheduling):
    """A file to a process, as `--dist loadfile`, but the long ones first and one room together."""

    def _split_scope(self, nodeid: str) -> str:
        return ROOM if nodeid.startswith(ROOM) else super()._split_scope(nodeid)

    def schedule(self) -> None:
        super().schedule()
        for file in LONG:
            if file in self.workqueue:
                self.workqueue.move_to_end(file, last=False)
