"""The tests that `make test` leaves to `make test-long`, and what proves the same kind of thing in `make test`.

Each computes for long, or proves once more what a test beside it proves. Keys: a test as pytest names it, with its
parameter where only that one is left out. The tables of cases that share a process have lists of their own, beside the
cases (tests/train/cases.py, tests/user/options.py, tests/horovod/many_cases_names.py).
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
    **{
        f"tests/models/test_work_of_applications.py::test_multiplications_are_those_that_were_published[{name}]": (
            "the same test with MobileNet, MobileNetV3Small and Xception, which have every kind of layer with products"
        )
        for name in (
            "MobileNetV2",
            "MobileNetV3Large",
            "ResNet50",
            "NASNetMobile",
            "EfficientNetB0",
            "ConvNeXtTiny",
            "InceptionResNetV2",
        )
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
            "the same test with train and numpy; tests/train/test_resume_integration.py stops and resumes "
            "trainings of two ranks, and a user's script"
        )
        for kind in ("serial", "horovod", "script")
    },
    **{
        f"tests/analysis/test_fits.py::test_95_percent_intervals_hold_in_95_percent_of_studies[{case}]": (
            "the same test with 5 runs and outliers, and with 6 runs and none"
        )
        for case in ("0.05-6", "0.0-5")
    },
    "tests/cli/test_smoke_integration.py::test_ranks_that_do_not_reduce_are_found": (
        "tests/train/test_same_weights_integration.py: a missing reduction would be seen; "
        "test_ranks_that_agree_on_something_wrong_are_found fails the smoke test"
    ),
    "tests/slurm/test_submit.py::test_ranks_on_several_nodes_train_what_one_machine_trains[2]": (
        "the same test with [3]"
    ),
    "tests/slurm/test_inside_allocations.py::test_a_smoke_test_passes": (
        "test_one_task_with_all_cores starts ranks at the same prompt; tests/cli/test_smoke_integration.py trains"
    ),
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
    "tests/docs/test_stages.py::test_the_plain_script_trains_the_same_under_exec": (
        "test_the_plain_script_trains_as_an_import; Python runs the same text"
    ),
    **{
        f"tests/docs/test_stages.py::test_{name}": "test_hpcnn_trains_one_network; the files show their differences"
        for name in (
            "horovod_as_taught_fails_on_keras_3",
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
    "tests/train/test_users_scripts_integration.py::test_a_rank_that_does_otherwise_ends_the_job_and_is_named[stops]": (
        "the same test with sys.exit, which the same comparison of points finds"
    ),
    "tests/train/test_users_scripts_integration.py::test_a_rank_that_does_otherwise_ends_the_job_and_is_named"
    "[stops in an epoch]": "the same test with more batches, which the same count finds",
    "tests/train/test_users_scripts_integration.py::test_a_rank_that_does_otherwise_ends_the_job_and_is_named"
    "[weights at the end]": "test_an_optimizer_that_nobody_distributed_is_found_out, by the same comparison",
    "tests/train/test_dying_ranks_integration.py::test_a_killed_rank[1]": "the same test with rank 0",
    **{
        f"tests/train/test_sets_and_losses.py::test_{name}": proof
        for name, proof in {
            "prices_are_predicted[california_housing-0.5]": "the same test with the prices of Boston",
            "photographs_have_a_network[cifar100]": "the same test with CIFAR-10",
            "a_layers_factor_multiplies_its_rate[sgd]": "the same test with adam",
        }.items()
    },
    **{
        f"tests/train/test_training_options.py::test_every_precision_learns_the_digits[{precision}]": (
            "the same test with float16"
        )
        for precision in ("float32", "bfloat16")
    },
    **{
        f"tests/train/test_loop.py::test_many_steps_a_call_are_keras_s_own_steps_one_by_one[{case}]": (
            "the same test with momentum and batch-norm; tests/train/test_options_integration.py"
        )
        for case in ("adam", "l2")
    },
    **{
        f"tests/train/test_loop.py::test_a_checkpoint_loads_without_hpcnn[{case}]": (
            "the same test with float16 and an optimizer of the model's own"
        )
        for case in ("plain", "warm-up")
    },
    **{
        f"tests/train/test_label_maps.py::test_images_to_predict[{case}]": (
            "the same test: every form with one loss, every loss with one form"
        )
        for case in ("dense-mean_squared_error", "same-mean_squared_error", "floats-binary_crossentropy")
    },
    "tests/train/test_start.py::test_a_training_goes_on_from_the_weights_of_a_file[.weights.h5]": (
        "the same test with .keras; others of the file read weights.h5"
    ),
    "tests/train/test_sameness.py::test_one_rank_trains_as_keras_does[own:summed]": (
        "tests/train/test_options_integration.py, its row sum"
    ),
    "tests/train/test_own_step.py::test_the_rule_of_the_gradients_is_found[mean-0.0]": "the same test with dropout",
    "tests/train/test_own_step.py::test_the_rule_of_the_gradients_is_found[sum-0.0]": "the same test with dropout",
    "tests/train/test_own_step.py::test_a_step_that_knows_of_replicas_is_refused[2.0]": "the same test with a half",
    "tests/train/numpy/test_run.py::test_the_lectures_accuracies[scinet-hidden-circles-0.86-0.73]": (
        "the same test with a neuron; tests/models/numpy/test_networks.py compares gradients with differences"
    ),
    **{
        f"tests/models/test_parameters.py::test_parameter_counts[{name}]": (
            "tests/models/test_maps.py counts the same weights by hand"
        )
        for name in ("deeplab", "tiramisu", "unet")
    },
    **{
        f"tests/models/test_layers.py::test_output_is_float32_under_mixed_precision[{name}]": "the same test with unet"
        for name in ("deeplab", "tiramisu")
    },
    "tests/models/test_parameters.py::test_resnet_counts_follow_from_its_depth[6]": "the same test with 1 and 3",
    "tests/models/test_maps.py::test_the_encoder_of_deeplab_is_the_resnet_of_keras": (
        "test_weights_and_operations_are_those_counted_by_hand"
    ),
}
