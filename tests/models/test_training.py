"""Training, small: it learns, goes on where it was left, takes a folder, and says what is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from models.synthetic import write_portraits
from models.train import Plan, Trainer, gather_pictures, main, train


@pytest.fixture
def plan(tmp_path) -> Plan:
    return Plan(
        network="seg_matting",
        data="synthetic",
        out=tmp_path,
        pictures=8,
        held_out=2,
        stages=((32, 4), (64, 2)),
        batch=2,
        rate=2e-3,
        seed=3,
        evaluate_every=2,
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(path, weights_only=True)
    assert set(saved) == {"epoch", "state_dict"}
    return saved["state_dict"]


def test_loss_falls(plan):
    steady = Plan(**{**vars(plan), "stages": ((64, 10_000),)})
    trainer = Trainer(steady, torch.device("cpu"))
    pictures = (torch.rand(4, 3, 64, 64) * 100, torch.zeros(4, 1, 64, 64))
    pictures[0][:, :, 16:48, 16:48] += 150  # a bright square is the person
    pictures[1][:, :, 16:48, 16:48] = 1
    trainer.step = 100  # past the start of the warm-up
    losses = [trainer.train_step(pictures) for _ in range(25)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_going_on_equals_an_unbroken_run_bit_for_bit(plan, tmp_path):
    unbroken = weights(train(plan))
    broken_plan = Plan(**{**vars(plan), "out": tmp_path / "broken"})
    train(broken_plan, until=2)
    train(broken_plan, until=5)
    broken = weights(train(broken_plan))
    assert unbroken.keys() == broken.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, broken[key]), key


def test_training_starts_from_a_checkpoint(plan, tmp_path):
    first = train(plan, until=2)
    again = Trainer(Plan(**{**vars(plan), "start": first}), torch.device("cpu"))
    for key, value in weights(first).items():
        assert torch.equal(again.net.state_dict()[key], value), key
        assert torch.equal(again.average.state_dict()[key], value), key


def test_the_seed_decides(plan, tmp_path):
    first = weights(train(plan, until=2))
    other = weights(train(Plan(**{**vars(plan), "out": tmp_path / "b", "seed": 4}), until=2))
    assert not torch.equal(first["convF1.weight"], other["convF1.weight"])


def test_a_finished_run_is_not_trained_further(plan):
    path = train(plan)
    before = path.read_bytes()
    train(plan)
    assert path.read_bytes() == before


def test_progress_is_logged(plan, caplog):
    with caplog.at_level(logging.INFO, logger="models.train"):
        train(plan, until=2)
    assert "pictures: 8 of 8" in caplog.text
    assert "step 2/6" in caplog.text
    assert "mask IoU" in caplog.text


def test_stages_and_learning_rate(plan):
    assert [plan.size_at(step) for step in range(6)] == [32, 32, 32, 32, 64, 64]
    assert plan.steps == 6
    assert plan.largest == 64
    long = Plan(**{**vars(plan), "stages": ((32, 2000),)})
    assert long.rate_at(0) < 0.01 * long.rate_at(250)
    assert long.rate_at(1999) < 0.01 * long.rate_at(250)


def test_a_folder_of_photos_is_split_and_trained_on(plan, tmp_path):
    write_portraits(tmp_path / "photos", 12, seed=5, size=48)
    own = Plan(**{**vars(plan), "data": str(tmp_path / "photos")})
    training, held_out = gather_pictures(own, workers=1)
    assert (len(training), len(held_out)) == (10, 2)
    assert training.shape[1:] == (64, 64, 4)
    assert train(own, until=2).exists()


def test_training_and_held_out_portraits_differ(plan):
    training, held_out = gather_pictures(plan, workers=1)
    assert not any((picture == other).all() for picture in training for other in held_out)


def test_an_empty_folder_is_an_error_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["seg_matting", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert stop.value.code == 1
    assert "has not two photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["other_net"], ["seg_matting", "--stages", "100:5"], ["seg_matting", "--stages", "x"]]
)
def test_wrong_arguments_are_a_usage_error(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run(plan, capsys):
    with pytest.raises(SystemExit) as stop:
        main([
            "seg_matting", "--out", str(plan.out), "--pictures", "4", "--held-out", "1", "--stages", "32:50",
            "--batch", "2", "--rate", "1e30", "--workers", "1",
        ])  # fmt: skip
    assert stop.value.code == 1
    assert "lower --rate" in capsys.readouterr().err
