"""The tests that `make test` leaves to `make test-long`, and what proves the same kind of thing in `make test`.

Most compute for a quarter of a minute or more. Keys: a test as pytest names it, with its parameter where only that
one is left out. The tables of cases that several strategies train have lists of their own, beside the cases
(tests/train/cases.py, tests/user/options.py), for those cases share a process.
"""

from __future__ import annotations

DOCUMENTS = "tests/docs/test_docs.py::test_what_a_document_shows_to_run_runs"
COMMANDS_ARE_READ = "README.md and own-script.md run whole; the options of all pages are looked up"

LONG = {
    f"{DOCUMENTS}[docs/tutorial.md]": (
        "README.md and own-script.md run whole: train, submit, smoke; tests/cli/test_study_integration.py runs a study,"
        " tests/cli/test_scaling_report.py reports one; the options of all pages are looked up"
    ),
    f"{DOCUMENTS}[docs/howto/segmentation.md]": (
        "tests/train/test_label_maps.py trains on maps of labels and draws them; docs/data.md converts a set;"
        " tests/train/test_sets_and_losses.py trains several outputs"
    ),
    f"{DOCUMENTS}[docs/horovod-script.md]": (
        "own-script.md runs a script on two ranks, and tests/docs/test_stages.py what the page explains"
    ),
    f"{DOCUMENTS}[docs/install.md]": (
        "tests/machine/doctor/test_doctor.py runs hpcnn doctor; the page's other commands only install"
    ),
    f"{DOCUMENTS}[docs/search.md]": "tests/cli/test_search_integration.py runs searches, with several workers too",
    **{
        f"{DOCUMENTS}[docs/{page}.md]": COMMANDS_ARE_READ
        for page in (
            "augmentation",
            "first-job",
            "howto/my-horovod-benchmark",
            "lessons/from-one-core-to-27360-gpus",
            "from-scratch",
            "measuring",
            "pictures",
            "prediction",
            "profiling",
            "reading-a-report",
            "report",
            "studies",
        )
    },
    **{
        f"tests/docs/test_lessons.py::test_the_commands_of_a_lesson_run[{deck}]": (
            "the same test with psc-afternoon; tests/models/test_parameters.py builds the networks of all lectures, and"
            " their figures are compared"
        )
        for deck in ("scinet-2017", "scinet-2024", "scinet-2026", "wolter-2020")
    },
    **{
        f"tests/docs/test_walks.py::test_a_walk[{who}]": (
            "the walk of Support is typed too; README.md and own-script.md run whole, without a terminal"
        )
        for who in ("A student", "A researcher")
    },
    "tests/train/test_resume_integration.py::test_a_stopped_run_of_a_study_goes_on_when_the_study_is_run_again": (
        "tests/slurm/test_study.py stops runs of a study; the other tests of the file resume trainings"
    ),
    "tests/train/test_resume_integration.py::test_a_signal_makes_it_stop_with_status_75_and_resume_goes_on[12]": (
        "the same test with signal 15"
    ),
    "tests/cli/test_tune_integration.py::test_a_tuned_training_ends_with_the_weights_of_an_untuned_one": (
        "tests/train/test_same_weights_integration.py has cases with grouped and compressed gradients"
    ),
    **{
        f"tests/old_records/test_v0_1_integration.py::test_a_stopped_training_goes_on[{kind}]": (
            "the same test with horovod and numpy; tests/train/test_resume_integration.py resumes a user's script"
        )
        for kind in ("serial", "train", "script")
    },
    **{
        f"tests/analysis/test_fits.py::test_95_percent_intervals_hold_in_95_percent_of_studies[{case}]": (
            "the same test with 5 runs and outliers, and with 6 runs and none"
        )
        for case in ("0.05-6", "0.0-5")
    },
    "tests/machine/bench/test_fit.py::test_the_intervals_hold_the_truth_about_as_often_as_they_say": (
        "the others of the file: exact times, and one size that is off"
    ),
    "tests/cli/test_search_integration.py::test_at_the_time_limit_a_trial_keeps_its_state_and_goes_on_later": (
        "tests/slurm/test_search.py stops workers and goes on"
    ),
    "tests/cli/test_predict_images.py::test_photographs_of_mnist_are_labelled_as_the_digits_were": (
        "the other tests of the file, with photographs of the small digits"
    ),
    "tests/train/numpy/test_run.py::test_l2_lowers_training_and_raises_test_accuracy_on_500_digits": (
        "tests/models/numpy/test_networks.py: the penalty shrinks weights, and its gradient is that of differences"
    ),
    **{
        f"tests/docs/test_stages.py::test_{name}": "test_hpcnn_trains_one_network; the files show their differences"
        for name in (
            "horovod_as_taught_without_what_fails_trains_two_networks_in_silence",
            "the_recipe_for_keras_3_trains_one_network",
            "horovod_as_taught_trains_one_network_with_one_import_changed",
        )
    },
    "tests/notebook/test_notebooks.py::test_the_first_training_runs_in_a_kernel": (
        "tests/notebook/test_run_integration.py calls what the notebook calls"
    ),
    "tests/cli/test_bench_integration.py::TestTwoRanks::test_programs_get_rows": (
        "test_the_record_is_whole measures the same ranks"
    ),
}
