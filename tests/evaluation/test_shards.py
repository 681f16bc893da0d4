"""A shard that is worked on elsewhere gives the outcomes that it gives here; no cluster is needed to see that."""

import pickle
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from quantattack import InputError, Linf, Record, Threat, daa_blob, fgsm, load_data, load_model, pgd
from quantattack.cli import main
from quantattack.cli.tasks import Named
from quantattack.evaluation.batching import BatchSizer
from quantattack.evaluation.cells import Cell
from quantattack.evaluation.fast_search import FastSearch
from quantattack.evaluation.ray import RayExecutor, Workers, cluster, cut, sent
from quantattack.evaluation.run import run
from quantattack.evaluation.task import Task, prepare
from quantattack.record.store import Store
from records import by_hand

THREAT = Threat(Linf(), 0.1)
ATTACKS = {"pgd": pgd(THREAT, steps=3), "fgsm": fgsm(THREAT), "sets": daa_blob(THREAT, steps=3, particles=10)}
COUNT = 70
pytestmark = pytest.mark.usefixtures("unchecked")


def job(model: str = "digits-mdtanhs", **settings: Any) -> Task:
    images, labels = (part[:COUNT] for part in load_data("digits"))
    make = Named(model, "cpu")
    return prepare(load_model(model), images, labels, ATTACKS, THREAT, make=make, names=(model, "digits"), **settings)


class Elsewhere:
    """An executor whose workers get everything as bytes, and answer in another order than they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Cell, tuple[int, ...]]] = []
        self.tasks: dict[Task, Task] = {}

    def notes(self) -> dict[str, int]:
        return {"workers": 3}

    def map(self, work: Any, cells: Any) -> Any:
        waiting: list[Any] = []
        for cell in cells:
            pieces = [tuple(cell.positions)] if cell.needs_all else cut(cell.positions, cell.sizer.size, 3)
            for piece in pieces:
                waiting.append((cell, piece))
                if len(waiting) == 4:
                    yield from self._done(work, *waiting.pop(1))
        while waiting:
            yield from self._done(work, *waiting.pop())

    def _done(self, work: Any, cell: Cell, piece: tuple[int, ...]) -> Any:
        self.asked.append((cell, piece))
        if cell.task not in self.tasks:
            self.tasks[cell.task] = pickle.loads(pickle.dumps(sent(cell.task))).load()
        there = pickle.loads(pickle.dumps(work))
        results = list(there(self.tasks[cell.task], cell.attack, piece, BatchSizer(16), None))
        return [(cell, result) for result in pickle.loads(pickle.dumps(results))]


def verdicts(record: Record) -> Any:
    return {
        name: [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in record.outcomes(name)]
        for name in record.attacks
    }


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


def together(jobs: list[Task], folder: Any, workers: Any) -> list[Record]:
    store = Store.open(folder, {"subjects": [one.identity.to_json() for one in jobs], "seed": 0})
    with store.writing():
        return run(jobs, store, [quiet] * len(jobs), workers)


def alone(one: Task) -> Record:
    return run([one], Store.open(None, {"subjects": [one.identity.to_json()], "seed": 0}), [quiet])[0]


@pytest.mark.parametrize("settings", [{}, {"speed": FastSearch(channels_last=True)}, {"keep_images": True}])
def test_many_workers_write_the_record_of_one_process(settings: dict[str, Any], tmp_path: Any):
    jobs = [job(**settings), job("digits-float", **settings)]
    workers = Elsewhere()
    for record, one in zip(together(jobs, tmp_path / "run", workers), jobs, strict=True):
        expected = alone(job(one.subject.model, **settings))
        assert verdicts(record) == verdicts(expected)
        assert record.codes == expected.codes
        assert record.finished
    assert len({cell.task for cell, _ in workers.asked}) == 2
    assert sum(cell.attack == "sets" for cell, _ in workers.asked) == 2  # what moves each other stays together


def test_a_spread_run_does_only_what_is_lacking(tmp_path: Any):
    first = together([job()], tmp_path / "run", Elsewhere())[0]
    before = first.outcomes("pgd")
    first.store.close()
    store = Store.load(tmp_path / "run")
    store.connection.execute("PRAGMA query_only = OFF")
    by_hand(store.connection, "DELETE FROM outcome WHERE cell = 1 AND image BETWEEN 20 AND 45")
    store.close()
    workers = Elsewhere()
    again = together([job()], tmp_path / "run", workers)[0]
    asked = {at for cell, piece in workers.asked if cell.attack != "clean" for at in piece}
    assert asked <= set(range(20, 46))
    same = [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in again.outcomes("pgd")]
    assert same == [replace(one, forwards=0.0, backwards=0.0, seconds=0.0) for one in before]


@pytest.mark.parametrize(("count", "size", "workers"), [(1000, 80, 2), (1000, 256, 16), (5, 80, 2), (100_000, 80, 4)])
def test_everything_is_cut_once_and_everyone_has_something(count: int, size: int, workers: int):
    pieces = list(cut(range(count), size, workers))
    assert [at for piece in pieces for at in piece] == list(range(count))
    sizes = [len(piece) for piece in pieces]
    assert sizes[0] <= 4 * size
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 16  # whoever takes the last one keeps nobody waiting
    assert len(pieces) >= min(workers, -(-count // 16))


def test_a_model_without_a_name_is_sent_as_it_is():
    images, labels = (part[:20] for part in load_data("digits"))
    one = prepare(load_model("digits-float"), images, labels, {"fgsm": fgsm(THREAT)}, THREAT)
    other = pickle.loads(pickle.dumps(sent(one))).load()
    assert torch.equal(other.model(images), one.model(images))


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Any):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'quantattack\[ray\]'"), cluster(Workers(2)):
        raise AssertionError("not reached")
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--images", "8", "--workers", "2", "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


class Result:
    """What a task came to."""

    def __init__(self, value: Any) -> None:
        self.value = value


class OneProcess:
    """Ray's calls, as far as the executor makes them, without any other process."""

    class exceptions:  # noqa: N801
        RayError = RayTaskError = RuntimeError

    def remote(self, **options: Any) -> Any:
        assert options["num_cpus"] == 1
        return lambda function: type("Task", (), {"remote": staticmethod(lambda *given: Result(function(*given)))})

    def put(self, value: Any) -> Any:
        return Result(value)

    def get(self, found: Result) -> Any:
        return found.value

    def wait(self, sent: list[Any], num_returns: int) -> Any:
        return sent[:num_returns], sent[num_returns:]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


def test_a_worker_that_outlives_a_run_takes_the_next_ones_jobs(monkeypatch: pytest.MonkeyPatch):
    ray = OneProcess()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    workers = RayExecutor(ray, Workers(4))
    assert workers.count == 2
    for name in ("digits-mdtanhs", "digits-float"):
        (record,) = together([job(name)], None, workers)
        assert verdicts(record) == verdicts(alone(job(name)))
