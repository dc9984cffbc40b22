"""Which rules of reporting a table meets: each can be met, and each that the runs decide can be missed."""

import json

from hpcnn.report import load, rules_table, scaling_table


def met(tmp_path, **options):
    data = load(tmp_path)
    table = rules_table(data, scaling_table(data), **options)
    assert table["rule"].tolist() == list(range(1, 18))
    assert table[["asks", "met", "why"]].notna().all(axis=None)
    return dict(zip(table["rule"], table["met"], strict=True))


def test_few_runs_of_no_study_miss_what_depends_on_runs(run_in, tmp_path):
    run_in("a", kind="throughput", accuracy=None)
    found = met(tmp_path, warmup=0)
    assert {rule for rule, answer in found.items() if answer == "no"} == {5, 6, 13, 14, 15, 16}
    assert found[7] == found[11] == "does not apply"
    assert found[9] == "partly"


def test_a_careful_study_meets_all_but_the_network(run_in, tmp_path):
    for ranks in (1, 2):
        for repeat in range(1, 7):
            seconds = [(10.0 + 0.01 * repeat) / ranks] * 5
            run = run_in(f"{ranks}-{repeat}", ranks=ranks, repeat=repeat, seconds=seconds, train={"seed": repeat})
            for rank in range(ranks):
                lines = [json.loads(line) for line in run.epochs(rank).read_text().splitlines()]
                lines = [{**line, "seconds_since_start": 10.0 * line["epoch"]} for line in lines]
                run.epochs(rank).write_text("".join(json.dumps(line) + "\n" for line in lines))
            facts = json.loads(run.provenance.read_text())
            facts["versions"] |= {"tensorflow": "2.21.0", "mpi": "Open MPI 4.1.4"}
            run.provenance.write_text(json.dumps({**facts, "slurm": {"SLURM_JOB_ID": "1"}}))
    run_in("ceiling", ranks=2, seconds=[4.0] * 5, train={"communication": False})
    found = met(tmp_path)
    assert {rule: answer for rule, answer in found.items() if answer != "yes"} == {9: "partly"}


def test_a_rule_that_some_rows_miss_is_met_in_part(run_in, tmp_path):
    for repeat in range(1, 7):
        run_in(f"1-{repeat}", repeat=repeat, seconds=[10.0 + 0.01 * repeat] * 5, train={"seed": repeat})
    run_in("2-1", ranks=2, seconds=[6.0] * 5)
    found = met(tmp_path)
    assert {found[rule] for rule in (5, 6, 16)} == {"partly"}
    assert found[7] == "no"
