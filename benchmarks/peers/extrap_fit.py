"""Extra-P on times of an epoch: its own search for a model of one parameter, with exponents below zero allowed.

Reads one JSON object on standard input: ``studies`` (each ranks -> seconds of the runs) and ``ranks``. Prints a JSON
list of a list a study: the seconds that Extra-P's model of the medians says for each of ``ranks``.
"""

from __future__ import annotations

import json
import sys

from extrap.entities.callpath import Callpath
from extrap.entities.coordinate import Coordinate
from extrap.entities.experiment import Experiment
from extrap.entities.measurement import Measure, Measurement
from extrap.entities.metric import Metric
from extrap.entities.parameter import Parameter
from extrap.modelers.model_generator import ModelGenerator
from extrap.modelers.single_parameter.basic import SingleParameterModeler


def predicted(study: dict[str, list[float]], ranks: list[int]) -> list[float]:
    """Return the seconds of the model of one study."""
    experiment = Experiment()
    experiment.add_parameter(Parameter("p"))
    path, metric = Callpath("epoch"), Metric("time")
    experiment.add_callpath(path)
    experiment.add_metric(metric)
    for number, seconds in study.items():
        coordinate = Coordinate(float(number))
        experiment.add_coordinate(coordinate)
        experiment.add_measurement(Measurement(coordinate, path, metric, seconds))
    modeler = SingleParameterModeler()
    modeler.allow_negative_exponents = True  # times of strong scaling fall
    generator = ModelGenerator(experiment, modeler, use_measure=Measure.MEDIAN)
    generator.model_all()
    function = generator.models[path, metric].hypothesis.function
    return [float(function.evaluate(float(number))) for number in ranks]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([predicted(study, asked["ranks"]) for study in asked["studies"]]))
