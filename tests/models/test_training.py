"""Training, small: it learns, goes on where it was left, takes a folder, and says what is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from models.losses import training_loss
from models.networks import FIXED_SIDE
from models.synthetic import write_portraits
from models.train import Plan, Trainer, default_stages, gather_pictures, main, train


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


def changed(plan: Plan, **changes) -> Plan:
    return Plan(**{**vars(plan), **changes})


@pytest.fixture
def own_plan(plan, network) -> Plan:
    """The plan for each network, at a size that it takes."""
    if network not in FIXED_SIDE:
        return changed(plan, network=network)
    return changed(plan, network=network, stages=((FIXED_SIDE[network], 3),), pictures=2, held_out=1, batch=1)


def bright_square(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of noise, in which a bright square is the person."""
    torch.manual_seed(0)
    pictures = (torch.rand(2, 3, size, size) * 100, torch.zeros(2, 1, size, size))
    square = slice(size // 4, 3 * size // 4)
    pictures[0][:, :, square, square] += 150
    pictures[1][:, :, square, square] = 1
    return pictures


def test_loss_falls(own_plan):
    size = FIXED_SIDE.get(own_plan.network, 64)
    trainer = Trainer(changed(own_plan, stages=((size, 10_000),)), torch.device("cpu"))
    trainer.step = 100  # past the start of the warm-up
    losses = [trainer.train_step(bright_square(size)) for _ in range(8 if size > 64 else 25)]
    assert sum(losses[-3:]) < 0.75 * sum(losses[:3])


def test_what_was_learned_with_a_shared_norm_holds_in_use(plan):
    """With running statistics, which would be a mixture of nine places', the loss in use would be above 1."""
    trainer = Trainer(
        changed(plan, network="shuffle_seg_skipnet", stages=((64, 10_000),)), torch.device("cpu")
    )
    pictures = bright_square(64)
    trainer.step = 100
    for _ in range(25):
        trainer.train_step(pictures)
    trainer.step = (
        trainer.plan.steps
    )  # where the learning rate is 0: the other norms see enough of the pictures
    for _ in range(40):
        trainer.train_step(pictures)
    with torch.inference_mode():
        in_use = training_loss(trainer.net.eval()(trainer.preprocess(pictures[0])), pictures[1], pictures[0])
    assert float(in_use) < 0.5


@pytest.mark.parametrize("network", ["esp_dense_seg", "shuffle_seg_skipnet"])
def test_a_shared_norm_keeps_its_statistics_and_learns_its_scale(plan, network):
    trainer = Trainer(changed(plan, network=network), torch.device("cpu"))
    before = {key: value.clone() for key, value in trainer.net.bn_.state_dict().items()}
    trainer.train_step(bright_square(64))
    after = trainer.net.bn_.state_dict()
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"weight", "bias"}


def test_going_on_equals_an_unbroken_run_bit_for_bit(own_plan, tmp_path):
    unbroken = weights(train(own_plan))
    broken_plan = changed(own_plan, out=tmp_path / "broken")
    for until in (1, own_plan.steps - 1):
        train(broken_plan, until=until)
    broken = weights(train(broken_plan))
    assert unbroken.keys() == broken.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, broken[key]), key


def test_training_starts_from_a_checkpoint(plan, tmp_path):
    first = train(plan, until=2)
    again = Trainer(changed(plan, start=first), torch.device("cpu"))
    for key, value in weights(first).items():
        assert torch.equal(again.net.state_dict()[key], value), key
        assert torch.equal(again.average.state_dict()[key], value), key


def test_the_seed_decides(plan, tmp_path):
    first = weights(train(plan, until=2))
    other = weights(train(changed(plan, out=tmp_path / "b", seed=4), until=2))
    assert not torch.equal(first["convF1.weight"], other["convF1.weight"])


def test_a_finished_run_is_not_trained_further(plan):
    path = train(plan)
    before = path.read_bytes()
    train(plan)
    assert path.read_bytes() == before


def test_progress_is_logged(plan, caplog, monkeypatch):
    monkeypatch.setattr("models.train.TOLD_EVERY_S", 0)
    with caplog.at_level(logging.INFO, logger="models.train"):
        train(plan, until=2)
    assert "pictures: 8 of 8" in caplog.text
    assert "step 1/6" in caplog.text
    assert "step 2/6" in caplog.text
    assert "mask IoU" in caplog.text


def test_stages_and_learning_rate(plan):
    assert [plan.size_at(step) for step in range(6)] == [32, 32, 32, 32, 64, 64]
    assert plan.steps == 6
    assert plan.largest == 64
    long = changed(plan, stages=((32, 2000),))
    assert long.rate_at(0) < 0.01 * long.rate_at(250)
    assert long.rate_at(1999) < 0.01 * long.rate_at(250)


def test_networks_share_a_folder(plan, monkeypatch):
    """Each has files of its own there, and the pictures are made once."""
    train(plan, until=1)
    other = changed(plan, network="esp_dense_seg")
    monkeypatch.delattr("models.dataset.portrait")
    assert train(other, until=1) != plan.checkpoint
    assert plan.checkpoint.exists()
    assert {plan.state.name, other.state.name} == {"seg_matting.last.pt", "esp_dense_seg.last.pt"}


@pytest.mark.parametrize("content", [b"", b"no state", None])
def test_a_state_that_is_none_is_an_error_in_one_line(plan, content, capsys):
    train(plan, until=1)
    if content is None:
        train(changed(plan, network="esp_dense_seg"), until=1).with_name("esp_dense_seg.last.pt").replace(
            plan.state
        )
    else:
        plan.state.write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        main(["seg_matting", "--out", str(plan.out), "--pictures", "8", "--held-out", "2", "--stages", "32:1,64:1",
              "--workers", "1"])  # fmt: skip
    assert stop.value.code == 1
    assert "seg_matting.last.pt is no saved state of seg_matting" in capsys.readouterr().err


def test_default_stages_fit_the_network(network):
    stages = default_stages(network)
    assert sum(steps for _, steps in stages) == 5000
    assert {size for size, _ in stages} == (
        {FIXED_SIDE[network]} if network in FIXED_SIDE else {128, 192, 256}
    )


def test_a_folder_of_photos_is_split_and_trained_on(plan, tmp_path):
    write_portraits(tmp_path / "photos", 12, seed=5, size=48)
    own = changed(plan, data=str(tmp_path / "photos"))
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
    "arguments",
    [
        ["other_net"],
        ["seg_matting", "--stages", "100:5"],
        ["seg_matting", "--stages", "x"],
        ["residualdense_bisenet", "--stages", "256:5"],
    ],
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
