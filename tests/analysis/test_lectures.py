"""The lectures' ladder: what runs reached beside what the lecture reports, and what was trained otherwise apart."""

import pandas as pd
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.report import lectures_table, load

TAUGHT = {
    "model": "psc-fc64",
    "data": "mnist",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "pixel_scale": "unit",
    "loss": "sparse_categorical_crossentropy",
    "epochs": 40,
}


def trained(run_in, name, accuracy, *, seconds=0.5, **otherwise):
    train = {**TAUGHT, **otherwise}
    epochs = [seconds] * (train["epochs"] - 1)
    run_in(name, samples=60_000, batch_size=128, accuracy=accuracy, seconds=epochs, train=train)


def test_the_lectures_number_lies_within_above_or_below(run_in, tmp_path):
    for name, accuracies in {
        "psc-fc64": (0.97, 0.98, 0.976),
        "psc-fc512": (0.97, 0.975),
        "psc-fc512-deep": (0.985,),
    }.items():
        epochs = 40 if name == "psc-fc64" else 30
        for number, accuracy in enumerate(accuracies):
            trained(run_in, f"{name}-{number}", accuracy, seconds=1.0 + number, model=name, epochs=epochs)
    table = lectures_table(load(tmp_path)).set_index("model")
    assert table.index.tolist() == ["psc-fc64", "psc-fc512", "psc-fc512-deep"]
    assert table["lecture_lies"].tolist() == ["within", "above", "below"]
    assert table["lecture_accuracy"].tolist() == [0.9755, 0.9821, 0.98]
    first = table.loc["psc-fc64"]
    assert (first["runs"], first["epoch_seconds"]) == (3, 2.0)
    assert first[["test_accuracy_min", "test_accuracy_median", "test_accuracy_max"]].tolist() == [0.97, 0.976, 0.98]
    assert pd.isna(first["lecture_epoch_seconds"])
    assert table.loc["psc-fc512", "lecture_epoch_seconds"] == 2


def test_what_was_trained_otherwise_is_not_compared(run_in, tmp_path):
    trained(run_in, "a", 0.9755)
    trained(run_in, "b", 0.99, optimizer="sgd", epochs=2, precision="bfloat16")
    table = lectures_table(load(tmp_path))
    assert table["otherwise"].tolist() == ["", "epochs 2, optimizer sgd, bfloat16"]
    assert table["lecture_lies"].tolist()[0] == "within"
    assert pd.isna(table["lecture_lies"].tolist()[1])


def test_fewer_images_are_another_training(run_in, tmp_path):
    run_in("a", samples=1000, batch_size=128, seconds=[0.5] * 39, train=TAUGHT)
    table = lectures_table(load(tmp_path))
    assert table["otherwise"].tolist() == ["samples 1000"]
    assert table["lecture_lies"].isna().all()


def test_a_users_own_network_is_on_no_ladder(run_in, tmp_path):
    run_in("own")
    assert lectures_table(load(tmp_path)).empty
    shown = CliRunner().invoke(main, ["scaling-report", str(tmp_path), "--table", "lectures"])
    assert shown.exit_code == 0, shown.output
    assert "no run trained a network of the lectures" in shown.output


def test_as_people_read_it(run_in, tmp_path):
    trained(run_in, "a", 0.97)
    shown = CliRunner().invoke(main, ["scaling-report", str(tmp_path), "--table", "lectures", "--format", "markdown"])
    assert "| psc-fc64 | 1 | 97.00% (97.00%..97.00%) | 97.55% | above | 0.500 |" in shown.output
