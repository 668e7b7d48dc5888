"""How an app is found, imported, indexed and checked: functions-host.md §1.1, §1.2, §1.3, row by row."""

from __future__ import annotations

import os
import sys

import pytest

from devhost.errors import AppLoadError, DevhostError
from tests.conformance.apps import APP, DURABLE_APP, HEAD, loaded, write_app

ROUTE = """
@app.route(route="x")
def x(req: func.HttpRequest) -> str:
    return "x"
"""


def failure(folder, source, **given):
    """The one load error of the one bad function; a good one beside it always loads."""
    write_app(folder, ROUTE.replace("x", "zz_good") + source, **given)
    with loaded(folder) as host:
        assert "zz_good" in host.functions or not source
        [error] = host.errors
        return str(error)


# The app


def test_function_app_py_is_imported_with_the_app_folder_as_cwd_and_on_the_path(tmp_path):
    write_app(
        tmp_path,
        ROUTE + "import os, helper\nassert os.getcwd() == helper.HERE and __name__ == 'function_app'\n",
        helper="import pathlib\nHERE = str(pathlib.Path(__file__).parent)\n",
    )
    before = os.getcwd()
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["x"]
    assert os.getcwd() == before and str(tmp_path) not in sys.path


def test_packages_published_with_the_app_can_be_imported(tmp_path):
    write_app(tmp_path / ".python_packages" / "lib" / "site-packages", "", head="", published="VALUE = 1")
    write_app(tmp_path, ROUTE + "import published\nassert published.VALUE\n")
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["x"]


def test_the_script_file_can_have_another_name(tmp_path):
    write_app(tmp_path, ROUTE)
    (tmp_path / "function_app.py").rename(tmp_path / "my-app.py")
    with loaded(tmp_path, {"PYTHON_SCRIPT_FILE_NAME": "my-app.py"}) as host:
        assert list(host.functions) == ["x"]


@pytest.mark.parametrize("name", ["../app.py", "app", "a b.py"])
def test_the_script_file_must_be_a_python_file_name(name, tmp_path):
    write_app(tmp_path, ROUTE)
    with (
        pytest.raises(AppLoadError, match="PYTHON_SCRIPT_FILE_NAME"),
        loaded(tmp_path, {"PYTHON_SCRIPT_FILE_NAME": name}),
    ):
        pass


def test_two_apps_in_one_process_do_not_share_modules(tmp_path):
    before = sys.modules.get("function_app")
    for name in ("one", "two"):
        write_app(tmp_path / name, ROUTE + "import helper\napp_name = helper.NAME\n", helper=f"NAME = {name!r}")
        with loaded(tmp_path / name):
            assert sys.modules["function_app"].app_name == name
    assert "helper" not in sys.modules and sys.modules.get("function_app") is before


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("app = None", "no function app", id="none"),
        pytest.param("bp = func.Blueprint()", "only a blueprint", id="blueprint alone"),
        pytest.param("a = func.FunctionApp()\nb = func.FunctionApp()", "2 function apps", id="two"),
        pytest.param("import no_such_package", "no_such_package", id="missing package"),
        pytest.param("def broken(:", "SyntaxError", id="syntax"),
        pytest.param("raise RuntimeError('own fault')", "RuntimeError: own fault", id="raises"),
        pytest.param("import sys\nsys.exit(3)", "SystemExit", id="exits"),
    ],
)
def test_an_app_that_cannot_be_used_is_an_error_with_a_remedy(source, words, tmp_path):
    write_app(tmp_path, source, head=HEAD)
    with pytest.raises(AppLoadError, match=words) as caught, loaded(tmp_path):
        pass
    assert caught.value.remedy


def test_one_app_under_two_names_is_one_app(tmp_path):
    write_app(tmp_path, ROUTE + "same = app\n")
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["x"]


def test_the_traceback_of_an_import_error_shows_only_the_app(tmp_path):
    write_app(tmp_path, "import helper", helper="def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(AppLoadError) as caught, loaded(tmp_path):
        pass
    detail = caught.value.detail
    assert 'function_app.py", line' in detail and 'helper.py", line 2, in f' in detail
    assert detail.endswith("ZeroDivisionError: division by zero\n")
    assert "importlib" not in detail and "devhost" not in detail.replace(str(tmp_path), "")


def test_no_function_app_means_the_v1_model_which_needs_func(tmp_path):
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with pytest.raises(AppLoadError, match="no function_app.py") as caught, loaded(tmp_path):
        pass
    assert "func start" in caught.value.remedy


# Triggers and names


def test_two_triggers_fail_at_import(tmp_path):
    source = '@app.route()\n@app.schedule(schedule="0 * * * * *", arg_name="t")\ndef f(req, t): ...\n'
    write_app(tmp_path, source)
    with pytest.raises(AppLoadError, match="cannot be imported: ValueError"), loaded(tmp_path):
        pass


def test_no_trigger_fails_when_functions_are_collected(tmp_path):
    write_app(tmp_path, '@app.queue_output(arg_name="o", queue_name="q", connection="C")\ndef f(o): ...\n')
    with pytest.raises(AppLoadError, match="f does not have a trigger"), loaded(tmp_path):
        pass


def test_names_must_be_unique_across_app_and_blueprints(tmp_path):
    write_app(
        tmp_path,
        ROUTE + "bp = func.Blueprint()\n@bp.route()\ndef x(req): ...\napp.register_functions(bp)\n",
    )
    with pytest.raises(AppLoadError, match="x does not have a unique"), loaded(tmp_path):
        pass


def test_names_that_differ_only_in_case_are_the_same(tmp_path):
    assert "same name" in failure(tmp_path, '@app.function_name("ZZ_GOOD")\n@app.route()\ndef other(req): ...\n')


@pytest.mark.parametrize("name", ["1st", "with space", "host", "a" * 129, "ünïcode"])
def test_function_names_follow_the_hosts_rule(name, tmp_path):
    assert "not valid" in failure(tmp_path, f"@app.function_name({name!r})\n@app.route()\ndef other(req): ...\n")


def test_the_name_is_the_functions_unless_given(tmp_path):
    write_app(tmp_path, ROUTE + '@app.function_name("Given-Name_1")\n@app.route()\ndef other(req): ...\n')
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["Given-Name_1", "x"]


@pytest.mark.parametrize(
    ("name", "is_valid"), [("my_req", True), ("_req", True), ("my__req", False), ("a" * 129, False)]
)
def test_binding_names_follow_the_newer_hosts_rule(name, is_valid, tmp_path):
    write_app(tmp_path, ROUTE + f"@app.route(trigger_arg_name={name!r})\ndef f({name}): ...\n")
    with loaded(tmp_path) as host:
        assert ("f" in host.functions) == is_valid


def test_functions_are_sorted_by_name_whatever_its_case(tmp_path):
    write_app(tmp_path, "".join(f"@app.route()\ndef {name}(req): ...\n" for name in ("b", "C", "a", "D")))
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["a", "b", "C", "D"]


def test_http_defaults_are_the_name_as_route_and_the_apps_auth_level(tmp_path):
    head = HEAD + "app = func.FunctionApp(http_auth_level=func.AuthLevel.ADMIN)\n"
    source = "bp = func.Blueprint()\n@bp.route()\ndef f(req): ...\napp.register_functions(bp)\n"
    write_app(tmp_path, source, head=head)
    with loaded(tmp_path) as host:
        properties = host.functions["f"].trigger.properties
        assert (properties["route"], properties["authLevel"]) == ("f", "ADMIN")


def test_the_durable_decorators_of_an_app_and_a_blueprint(tmp_path):
    source = """
    bp = df.Blueprint()

    @bp.orchestration_trigger(context_name="context")
    def flow(context):
        yield context.call_activity("step", 1)

    @bp.activity_trigger(input_name="number", activity="step")
    def work(number: int) -> int:
        return number

    @bp.entity_trigger(context_name="context", entity_name="Counter")
    def count(context): ...

    @app.route()
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client) -> func.HttpResponse: ...

    app.register_functions(bp)
    """
    write_app(tmp_path, source, head=DURABLE_APP)
    with loaded(tmp_path) as host:
        assert not host.errors
        shapes = {name: [(b.type, b.name, b.direction) for b in f.bindings] for name, f in host.functions.items()}
        assert shapes == {
            "count": [("entityTrigger", "context", "in")],
            "flow": [("orchestrationTrigger", "context", "in")],
            "start": [("durableClient", "client", "in"), ("httpTrigger", "req", "in"), ("http", "$return", "out")],
            "work": [("activityTrigger", "number", "in")],
        }
        assert host.functions["work"].trigger.properties["activity"] == "step"
        assert host.functions["start"].is_async and not host.functions["work"].is_async


# Parameters and annotations


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("@app.route()\ndef f(req, more): ...", "no trigger or binding: more", id="unbound parameter"),
        pytest.param("@app.route()\ndef f(): ...", "no parameter in Python: req", id="binding without parameter"),
        pytest.param("@app.route()\ndef f(req) -> None: ...", "NoneType", id="http returning None"),
        pytest.param("@app.route()\ndef f(req) -> dict: ...", "return annotation", id="http returning dict"),
        pytest.param("@app.route()\ndef f(req: int): ...", "'req' is bound to 'httpTrigger'", id="wrong input type"),
        pytest.param("@app.route()\ndef f(req: 'Missing'): ...", "cannot be resolved", id="unresolvable annotation"),
        pytest.param("@app.route()\ndef f(req: 5): ...", "not a type", id="annotation that is no type"),
        pytest.param("@app.route()\ndef f(req, context: int): ...", "func.Context", id="context of another class"),
        pytest.param("@app.route()\ndef f(req: func.Out[str]): ...", "is an input", id="input annotated Out"),
        pytest.param("@queue\n@app.route()\ndef f(req, o: str): ...", "must be func.Out", id="output, no Out"),
        pytest.param("@queue\n@app.route()\ndef f(req, o: func.Out): ...", "func.Out takes one", id="Out without type"),
        pytest.param("@queue\n@app.route()\ndef f(req, o: func.Out[int]): ...", "does not go with", id="wrong Out"),
        pytest.param('@app.route(route="a/{")\ndef f(req): ...', "route", id="route template"),
        pytest.param('@app.route(route="{a:odd}")\ndef f(req): ...', "odd", id="route constraint"),
        pytest.param('@app.generic_trigger(arg_name="t", type="cosmosDBTrigger")\ndef f(t): ...', "cosmosDBTrigger",
                     id="trigger type not covered"),
        pytest.param('@app.generic_output_binding(arg_name="o", type="sendGrid")\n@app.route()\ndef f(req, o): ...',
                     "sendGrid", id="binding type not covered"),
        pytest.param('@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="soon")\n'
                     "@app.route()\ndef f(req): ...", "time span", id="retry policy"),
    ],
)  # fmt: skip
def test_a_bad_function_is_left_out_with_its_reason_and_the_others_load(source, words, tmp_path):
    queue = 'queue = app.queue_output(arg_name="o", queue_name="q", connection="AzureWebJobsStorage")\n'
    assert words in failure(tmp_path, f"{queue}{source}\n")


@pytest.mark.parametrize(
    "source",
    [
        "@app.route()\ndef f(req: func.HttpRequest) -> func.HttpResponse: ...",
        "@app.route()\ndef f(req: 'func.HttpRequest') -> 'str': ...",
        "@app.route()\ndef f(req, context: func.Context): ...",
        "@app.route()\ndef f(req, context): ...",
        "@queue\n@app.route()\ndef f(req, o: func.Out[func.QueueMessage]): ...",
        "@queue\n@app.route()\ndef f(req, o: func.Out[typing.List[str]]): ...",
        "@queue\n@app.route()\ndef f(req, o: func.Out[bytes]): ...",
        '@app.queue_trigger(arg_name="m", queue_name="q", connection="AzureWebJobsStorage")\ndef f(m: bytes): ...',
        '@app.blob_trigger(arg_name="b", path="c/{n}", connection="X")\ndef f(b: func.InputStream): ...',
        '@app.schedule(schedule="0 * * * * *", arg_name="t")\ndef f(t: func.TimerRequest) -> None: ...',
    ],
)
def test_annotations_that_fit(source, tmp_path):
    queue = 'import typing\nqueue = app.queue_output(arg_name="o", queue_name="q", connection="AzureWebJobsStorage")\n'
    write_app(tmp_path, f"{queue}{source}\n")
    with loaded(tmp_path) as host:
        assert not host.errors and list(host.functions) == ["f"]


@pytest.mark.parametrize(
    ("annotation", "converter"),
    [("", "QueueMessageInConverter"), (": func.QueueMessage", "QueueMessageInConverter"),
     (": str", "GenericConverter"), (": bytes", "GenericConverter")],
)  # fmt: skip
def test_an_annotation_changes_the_converter(annotation, converter, tmp_path):
    trigger = '@app.queue_trigger(arg_name="m", queue_name="q", connection="AzureWebJobsStorage")\n'
    write_app(tmp_path, f"{trigger}def f(m{annotation}): ...\n")
    with loaded(tmp_path) as host:
        assert host.functions["f"].signature.trigger.converter.__name__ == converter


def test_a_binding_with_implicit_output_keeps_its_converter(tmp_path):
    write_app(tmp_path, '@app.activity_trigger(input_name="x")\ndef f(x: str): ...\n', head=DURABLE_APP)
    with loaded(tmp_path) as host:
        assert host.functions["f"].signature.trigger.converter.__name__ == "ActivityTriggerConverter"


# Choosing and disabling


def test_an_allow_list_in_host_json_and_one_on_the_command_line(tmp_path):
    source = "".join(f"@app.route()\ndef {name}(req): ...\n" for name in ("a", "b", "c"))
    write_app(tmp_path, source, host={"functions": ["a", "B"]})
    with loaded(tmp_path) as host:
        assert list(host.functions) == ["a", "b"]
    with loaded(tmp_path, functions=["C"]) as host:
        assert list(host.functions) == ["c"]
    with pytest.raises(DevhostError, match="no function named d"), loaded(tmp_path, functions=["d"]):
        pass


def test_a_function_left_out_cannot_fail(tmp_path):
    write_app(tmp_path, ROUTE + "@app.route()\ndef bad(req, more): ...\n")
    with loaded(tmp_path, functions=["x"]) as host:
        assert not host.errors


@pytest.mark.parametrize("name", ["AzureWebJobs.x.Disabled", "AzureWebJobs_x_Disabled", "azurewebjobs.X.disabled"])
@pytest.mark.parametrize(
    ("value", "is_disabled"), [("1", True), ("true", True), ("True", True), ("0", False), ("", False)]
)
def test_disabling_by_a_setting(name, value, is_disabled, tmp_path):
    write_app(tmp_path, ROUTE)
    with loaded(tmp_path, {name: value}) as host:
        assert host.functions["x"].disabled is is_disabled


# Settings in bindings


def test_settings_in_bindings_are_replaced_once_at_load(tmp_path):
    source = '@app.queue_trigger(arg_name="m", queue_name="in-%STAGE%", connection="%CONN%")\ndef f(m): ...\n'
    write_app(tmp_path, source)
    with loaded(tmp_path, {"STAGE": "dev", "CONN": "Other"}) as host:
        properties = host.functions["f"].trigger.properties
        assert (properties["queueName"], properties["connection"]) == ("in-dev", "Other")


def test_an_unresolved_setting_takes_out_only_its_function_when_indexing(tmp_path):
    source = '@app.queue_trigger(arg_name="m", queue_name="%NOWHERE%", connection="C")\ndef f(m): ...\n'
    assert "'%NOWHERE%' does not resolve to a value." in failure(tmp_path, source)


def test_get_functions_is_asked_once(tmp_path):
    source = ROUTE + "calls = []\n_get = app.get_functions\napp.get_functions = lambda: (calls.append(1), _get())[1]\n"
    write_app(tmp_path, source)
    with loaded(tmp_path):
        assert sys.modules["function_app"].calls == [1]


def test_the_directory_is_that_of_the_file_which_defines_the_function(tmp_path):
    write_app(
        tmp_path,
        "from inner.more import bp\napp.register_functions(bp)\n",
        head=APP,
    )
    (tmp_path / "inner").mkdir()
    source = "import azure.functions as func\nbp = func.Blueprint()\n@bp.route()\ndef f(req): ...\n"
    (tmp_path / "inner" / "more.py").write_text(source)
    with loaded(tmp_path) as host:
        assert host.functions["f"].directory == str(tmp_path / "inner")
