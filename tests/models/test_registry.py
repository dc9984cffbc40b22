"""A user's own networks: what their functions are given, and what is said where they cannot be used."""

import sys
from pathlib import Path

import pytest

from hpcnn.models import registry
from hpcnn.util.errors import UsageError

pytest.importorskip("keras")

OWN = """
import keras

def plain():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

def shaped(input_shape, classes, *, width=3):
    layers = [keras.Input(input_shape), keras.layers.Dense(width), keras.layers.Dense(classes)]
    return keras.Sequential(layers)

def anything(**keywords):
    return plain() if keywords == {"colour": "red"} else None

def wrong():
    return 3

def fails():
    raise RuntimeError("my own fault")

class Net(keras.Model):
    pass

number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's directory with my_net.py, as the current one."""
    Path(tmp_path / "my_net.py").write_text(OWN)
    Path(tmp_path / "broken_net.py").write_text("import a_module_nobody_has\n")
    Path(tmp_path / "unparsable_net.py").write_text("def net(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    for module in ("my_net", "broken_net", "unparsable_net"):
        sys.modules.pop(module, None)


@pytest.mark.usefixtures("own")
class TestOwnFunctions:
    def test_without_arguments(self):
        model = registry.build("my_net:plain", input_shape=(9,), classes=9)
        assert model.count_params() == 4 * 2 + 2

    def test_gets_shape_classes_and_arguments(self):
        model = registry.build("my_net:shaped", input_shape=(5,), classes=4, arguments={"width": 2})
        assert model.count_params() == 5 * 2 + 2 + 2 * 4 + 4

    def test_keywords_of_any_name(self):
        model = registry.build("my_net:anything", classes=2, arguments={"colour": "red"})
        assert model.count_params() == 10

    def test_a_model_class_is_a_factory_too(self):
        assert type(registry.build("my_net:Net")).__name__ == "Net"

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("no_such_net:build", {}, "cannot import 'no_such_net': ModuleNotFoundError: No module named"),
            ("broken_net:build", {}, "cannot import 'broken_net': .*No module named 'a_module_nobody_has'"),
            ("unparsable_net:net", {}, "cannot import 'unparsable_net': SyntaxError"),
            ("my_net:nothing", {}, "module 'my_net' has no function 'nothing'"),
            ("my_net:number", {}, "module 'my_net' has no function 'number'"),
            ("my_net:", {}, "'my_net:' is not valid; expected package.module:function"),
            (":plain", {}, "':plain' is not valid; expected package.module:function"),
            ("my_net:wrong", {}, "my_net:wrong returned int, not a keras.Model"),
            ("my_net:shaped", {"classes": 2}, "missing a required argument: 'input_shape'"),
            ("my_net:plain", {"arguments": {"depth": 2}}, "my_net:plain: 'depth' is not known"),
        ],
    )
    def test_errors_name_what_is_wrong(self, name, options, message):
        with pytest.raises(UsageError, match=message):
            registry.build(name, **options)

    def test_what_the_function_raises_is_not_hidden(self):
        with pytest.raises(RuntimeError, match="my own fault"):
            registry.build("my_net:fails")
