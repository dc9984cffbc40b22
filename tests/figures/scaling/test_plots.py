"""What the pictures show is what the tables say, and what they leave out they name."""

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'hpcnn[report]'")

from hpcnn.analysis.fits import fits
from hpcnn.analysis.table_runs import runs_of_table
from hpcnn.figures.scaling import all_plots, save
from hpcnn.figures.scaling.epochs import MOST_RUNS
from hpcnn.figures.scaling.points import MOST_SERIES
from hpcnn.figures.scaling.prediction import prediction_plot
from hpcnn.figures.scaling.ranks import MOST_RANKS, imbalance_plot
from hpcnn.figures.scaling.scaling import efficiency_plot, speedup_plot, time_plot
from hpcnn.figures.scaling.shares import MOST_BARS
from hpcnn.figures.style import rendered
from hpcnn.report import load, scaling_table
from hpcnn.report.svg import inline_svg
from tests.synthetic.parts import rank, write_parts
from tests.synthetic.runs import write_run

# Epoch times (s) of six runs on 1 and on 2 ranks: medians 10.5 and 6.
ONE, TWO = (9.0, 10.0, 10.0, 11.0, 12.0, 13.0), (5.0, 6.0, 6.0, 6.0, 7.0, 8.0)


def write_strong(folder):
    for repeat, (one, two) in enumerate(zip(ONE, TWO, strict=True), 1):
        write_run(folder / f"one-{repeat}", repeat=repeat, seconds=[one, one])
        write_run(folder / f"two-{repeat}", repeat=repeat, ranks=2, seconds=[two, two])
    return folder


@pytest.fixture
def strong(tmp_path):
    return write_strong(tmp_path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return the figures of such a study and its table, for the tests that look at them alone."""
    plots, _, table = plots_of(write_strong(tmp_path_factory.mktemp("strong")))
    return plots, table


def plots_of(*folders):
    data = load(*folders)
    table = scaling_table(data)
    return {plot.name: plot for plot in all_plots(data, table, fits(data, table))}, data, table


def lines(plot, panel=0):
    """Return what a picture joins or marks: {label: (x, y)}."""
    axes = plot.figure.axes[panel]
    found = {line.get_label(): line for line in axes.lines}
    found |= {container.get_label(): container[0] for container in axes.containers if hasattr(container, "has_yerr")}
    return {label: (list(line.get_xdata()), list(line.get_ydata())) for label, line in found.items()}


def bars(plot, label="measured"):
    """Return the ends of the interval bars of a series, low and high."""
    (container,) = (one for one in plot.figure.axes[0].containers if one.get_label() == label)
    (segments,) = container[2]
    return [(segment[0][1], segment[1][1]) for segment in segments.get_segments()]


def test_time_speedup_and_efficiency_are_the_tables(drawn):
    plots, table = drawn
    assert lines(plots["time"])["measured"] == ([1, 2], [10.5, 6.0])
    assert lines(plots["time"])["ideal"] == ([1, 2], [10.5, 5.25])
    assert lines(plots["speedup"])["measured"] == ([1, 2], [1.0, 1.75])
    assert lines(plots["efficiency"])["measured"] == ([1, 2], [1.0, 0.875])
    assert list(table["efficiency"]) == [1.0, 0.875]
    for name, scale in (("time", "log"), ("speedup", "log"), ("efficiency", "linear")):
        panel = plots[name].figure.axes[0]
        assert (panel.get_xscale(), panel.get_yscale()) == ("log", scale)
        assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "2"]


def test_bars_are_the_intervals_and_their_coverage_is_stated(drawn):
    plots, _ = drawn
    assert bars(plots["time"]) == [(9.0, 13.0), (5.0, 8.0)]
    assert "Bars: the exact interval of the median over runs; the least coverage is 96.9%." in plots["time"].caption
    # of the 36 ratios of a run on 1 rank and one on 2, the sixth and the sixth last, each over 2 ranks
    ratios = sorted(one / two / 2 for one in ONE for two in TWO)
    assert bars(plots["efficiency"])[0] == (1.0, 1.0)  # the base case over itself
    assert bars(plots["efficiency"])[1] == pytest.approx((ratios[5], ratios[-6]))
    assert "by a rank test over runs; the least coverage is 95.9%" in plots["efficiency"].caption


def test_one_run_a_size_has_no_bars(tmp_path):
    for ranks in (1, 2):
        write_run(tmp_path / f"{ranks}", ranks=ranks)
    plots, _, _ = plots_of(tmp_path)
    assert all(low == high for low, high in bars(plots["time"]))
    assert "One run a size carries no interval." in plots["time"].caption


def test_the_alternative_text_states_the_numbers(drawn):
    plots, _ = drawn
    assert plots["time"].alt == (
        "Seconds per epoch against ranks, both axes logarithmic. "
        "Measured: 1 rank 10.5 s (interval 9.00 to 13.0 s), 2 ranks 6.00 s (interval 5.00 to 8.00 s)."
    )
    assert plots["speedup"].alt.endswith("Measured: 1 rank 1.00, 2 ranks 1.75.")
    assert plots["efficiency"].alt.endswith("Measured: 1 rank 100.0%, 2 ranks 87.5%.")
    assert "1 rank: compute 50%, communication 25%, input 10%, other 15%" in plots["shares"].alt
    assert all(plot.alt and plot.title for plot in plots.values())


def test_shares_add_up_to_one(drawn):
    plots, _ = drawn
    ends = [0.0, 0.0]
    for container in plots["shares"].figure.axes[0].containers:
        for row, bar in enumerate(container):
            assert bar.get_x() == pytest.approx(ends[row])
            ends[row] += bar.get_width()
    assert ends == pytest.approx([1.0, 1.0])


def test_the_base_case_is_named(drawn):
    plots, _ = drawn
    for name in ("time", "speedup", "efficiency"):
        assert plots[name].caption.startswith("Base case: 1 rank, 10.5 s per epoch (median of 6 runs).")


def test_weak_scaling_is_ideal_when_flat_and_has_no_speedup(tmp_path):
    for ranks in (1, 2, 4):
        write_run(tmp_path / f"{ranks}", kind="weak", ranks=ranks, samples=1000 * ranks, batch_size=100 * ranks)
    plots, _, _ = plots_of(tmp_path)
    assert lines(plots["time"])["ideal"] == ([1, 2, 4], [10.0, 10.0, 10.0])
    assert "speedup" not in plots


def test_a_study_of_throughput_has_bars_of_images_per_second(tmp_path):
    for number, strategy in enumerate(("serial", "mirrored")):
        write_run(tmp_path / strategy, kind="throughput", strategy=strategy, seconds=[10.0 + number, 10.0 + number])
    plots, _, _ = plots_of(tmp_path)
    assert "time" not in plots
    widths = sorted(bar.get_width() for bar in plots["throughput"].figure.axes[0].patches)
    assert widths == pytest.approx([1000 / 11, 100.0])
    assert "1 rank, strategy mirrored: 90.9; 1 rank, strategy serial: 100" in plots["throughput"].alt


def test_points_are_joined_within_a_series_alone(tmp_path):
    for strategy, ranks in itertools.product(("horovod", "multiworker"), (1, 2, 4)):
        write_run(tmp_path / f"{strategy}-{ranks}", strategy=strategy, ranks=ranks)
    plots, _, _ = plots_of(tmp_path)
    drawn = lines(plots["time"])
    assert drawn["strategy horovod"][0] == drawn["strategy multiworker"][0] == [1, 2, 4]
    points = [container[0] for container in plots["time"].figure.axes[0].containers]
    assert len(points) == 2
    for told_by in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, told_by)() for line in points}) == 2, told_by


def test_points_of_one_size_measured_in_two_ways_are_not_joined(tmp_path):
    for nodes, ranks in ((1, 1), (1, 2), (2, 2)):
        resources = {"nodes": nodes, "ntasks": ranks, "cpus_per_task": 1}
        write_run(tmp_path / f"{nodes}-{ranks}", ranks=ranks, resources=resources)
    plots, _, _ = plots_of(tmp_path)
    assert "Points of one number of ranks measured in several ways are not joined." in plots["time"].caption
    containers = [one for one in plots["time"].figure.axes[0].containers if hasattr(one, "has_yerr")]
    assert {one.get_label(): list(one[0].get_xdata()) for one in containers} == {"1 node": [1, 2], "2 nodes": [2]}
    assert len({one[0].get_marker() for one in containers}) == 2
    assert len({one[0].get_color() for one in containers}) == 1
    assert {one[0].get_linestyle() for one in containers} == {"None"}


def test_the_measured_ceiling_is_drawn_where_there_is_one(strong):
    for ranks in (1, 2):
        facts = {"ranks": ranks, "train": {"communication": False}, "seconds": [8.0 / ranks] * 2}
        write_run(strong / f"ceiling-{ranks}", **facts)
    plots, _, _ = plots_of(strong)
    assert lines(plots["time"])["without communication (lower bound)"] == ([1, 2], [8.0, 4.0])
    assert lines(plots["speedup"])["without communication (upper bound)"][1] == pytest.approx([10.5 / 8, 10.5 / 4])


def test_a_fit_is_drawn_where_the_points_carry_one_and_left_out_where_not(tmp_path):
    for ranks in (1, 2, 4, 8):
        write_run(tmp_path / f"{ranks}", ranks=ranks, seconds=[100 * (0.1 + 0.9 / ranks)] * 2)
    data = load(tmp_path)
    table = scaling_table(data)
    fitted = fits(data, table)
    assert {fit.model for fit in fitted[0].fits if fit.refused is None} == {"amdahl", "tree", "jitter"}
    ranks, seconds = lines(time_plot(table, fitted))["Amdahl's law, fitted"]
    assert seconds == pytest.approx([100 * (0.1 + 0.9 / p) for p in ranks], rel=1e-3)
    others = [name for name in lines(time_plot(table, fitted)) if name.endswith(", fitted")]
    assert others == ["Amdahl's law, fitted"], "the rivals are compared with it, and not drawn"
    assert "Amdahl's law, fitted" in lines(speedup_plot(table, fitted))
    assert "Amdahl's law, fitted" not in lines(time_plot(table))


def test_series_beyond_the_colours_are_named_as_left_out(tmp_path):
    for number, ranks in itertools.product(range(MOST_SERIES + 2), (1, 2)):
        write_run(tmp_path / f"{number}-{ranks}", ranks=ranks, train={"learning_rate": 0.1 * (number + 1)})
    plots, _, _ = plots_of(tmp_path)
    assert len(plots["time"].figure.axes[0].containers) == MOST_SERIES
    assert "2 more series are in the table alone." in plots["time"].caption
    assert len(plots["shares"].figure.axes[0].get_yticks()) == 2 * (MOST_SERIES + 2)


def test_rows_beyond_the_bars_are_counted(tmp_path):
    for number in range(MOST_BARS + 3):
        write_run(tmp_path / f"{number}", kind=None, study=None, train={"learning_rate": 0.1 * (number + 1)})
    plots, _, _ = plots_of(tmp_path)
    assert len(plots["throughput"].figure.axes[0].patches) == MOST_BARS
    assert f"3 of {MOST_BARS + 3} rows are in the table alone." in plots["throughput"].caption


def test_runs_beyond_the_lines_are_counted(tmp_path):
    for repeat in range(MOST_RUNS + 2):
        write_run(tmp_path / f"{repeat}", repeat=repeat + 1, seconds=[1.0, 2.0, 3.0])
    plots, _, _ = plots_of(tmp_path)
    drawn = plots["traces"].figure.axes[0].lines
    assert len(drawn) == MOST_RUNS
    assert all(list(line.get_xdata()) == [2, 3, 4] for line in drawn)
    assert plots["traces"].caption.endswith("2 more runs not drawn.")


def test_learning_curves_have_all_epochs_and_both_sets(drawn):
    plots, _ = drawn
    loss, accuracy = lines(plots["learning"], 0), lines(plots["learning"], 1)
    assert loss["1 rank, train"] == ([1, 2, 3], [1.0, 1 / 2, 1 / 3])
    assert loss["1 rank, test"] == ([1, 2, 3], [0.7] * 3)
    assert accuracy["2 ranks, train"][1] == [0.5] * 3
    assert accuracy["2 ranks, test"][1] == [0.6] * 3


def test_the_balance_is_that_of_own_work(tmp_path):
    write_parts(tmp_path / "one", [rank(compute=1.0)])
    slow, fast = rank(compute=0.75), rank(compute=0.25, communication=0.5)
    write_parts(tmp_path / "two", [fast, slow])
    plots, _, _ = plots_of(tmp_path)
    image = plots["imbalance"].figure.axes[0].images[0]
    assert image.get_array().tolist() == [[0.5] * 3, [1.5] * 3]
    assert "Longest: rank 1, 1.500 of the mean; shortest: rank 0, 0.500" in plots["imbalance"].alt


def test_no_slow_rank_disappears_among_many(tmp_path):
    parts = [rank(compute=2.0 if number == 137 else 1.0) for number in range(300)]
    write_parts(tmp_path / "many", parts)
    data = load(tmp_path)
    table = scaling_table(data)
    plot = imbalance_plot(table, runs_of_table(data, table))
    cells = plot.figure.axes[0].images[0].get_array()
    assert len(cells) == 60 <= MOST_RANKS
    assert np.argmax(cells[:, 0]) == 137 // 5
    assert cells.max() == pytest.approx(2 / (301 / 300))
    assert "Longest: rank 137" in plot.alt
    assert plot.caption.endswith("A cell is the largest of 5 ranks and 1 epochs.")


def test_one_process_has_no_balance(tmp_path):
    write_run(tmp_path / "one", seconds=[1.0, 2.0])
    plots, _, _ = plots_of(tmp_path)
    assert "imbalance" not in plots


def test_a_prediction_is_drawn_beside_what_was_measured(drawn):
    import pandas as pd

    _, table = drawn
    columns = {"seconds_per_epoch": [5.0, 3.0], "seconds_all_hidden": [4.0, 2.0], "seconds_none_hidden": [6.0, 4.0]}
    predicted = pd.DataFrame({"ranks": [2, 1024], **columns})
    plot = prediction_plot(predicted, table, "scale", "It assumes much.")
    assert lines(plot)["predicted"] == ([2, 1024], [5.0, 3.0])
    assert lines(plot)["measured"] == ([1, 2], [10.5, 6.0])
    assert plot.alt.endswith("Predicted: 2 ranks 5.00 s, 1,024 ranks 3.00 s.")
    assert plot.caption == "It assumes much."


def test_the_same_data_give_the_same_bytes_in_any_order(strong, tmp_path):
    more = tmp_path / "more"
    write_run(more / "four", ranks=4, seconds=[4.0, 4.0])
    folders = sorted(path for path in strong.iterdir())
    forth, back = (plots_of(*order)[0] for order in (folders, folders[::-1]))
    assert list(forth) == list(back)
    for name in forth:
        assert inline_svg(forth[name]) == inline_svg(back[name])
    assert rendered(forth["time"].figure, "pdf") == rendered(back["time"].figure, "pdf")


def test_save_writes_each_picture_in_three_formats(drawn, tmp_path):
    plots, _ = drawn
    files = save([plots["time"]], tmp_path / "out")
    assert [file.name for file in files] == ["time.png", "time.svg", "time.pdf"]
    assert [file.read_bytes()[:4] for file in files] == [b"\x89PNG", b"<?xm", b"%PDF"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["time.pdf", "time.png", "time.svg"]


@pytest.mark.filterwarnings("error")
def test_names_that_nobody_would_choose_are_drawn(tmp_path):
    for number, name in enumerate(("$\\frac{x}$ <b>&", "\x01\x1b[31m", "漢字" * 40, "\ud800", "a\nb")):
        for ranks in (1, 2):
            write_run(tmp_path / f"{number}-{ranks}", ranks=ranks, train={"option": name})
    plots, _, _ = plots_of(tmp_path)
    for plot in plots.values():
        text = inline_svg(plot)
        assert "<b>" not in text
        text.encode("utf-8")
    save([plots["time"]], tmp_path / "out")


def test_an_efficiency_above_one_is_inside_the_picture(tmp_path):
    write_run(tmp_path / "one", seconds=[10.0, 10.0])
    write_run(tmp_path / "two", ranks=2, seconds=[2.0, 2.0])
    data = load(tmp_path)
    assert efficiency_plot(scaling_table(data)).figure.axes[0].get_ylim()[1] > 2.5
