"""Attaching real kernels of a real Jupyter server to real clusters."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.attach.environments import add_kernel
from tests.attach.notebook import Notebook, notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome, jupyter_home, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found


def load(book: Notebook) -> Notebook:
    book.run("%load_ext zoe_jupyter")
    return book


@pytest.mark.dask
def test_dask_outlives_kernels_and_servers_and_is_found_again(home: JupyterHome) -> None:
    server = home.start(app="server")
    with notebook(home, server) as book:
        output = load(book).run("%zoe attach dask --set scheduler_memory=512MiB")
        ((*_, progress),) = output.displays.values()
        assert progress.splitlines()[-1] == "connected"
        assert "starting scheduler" in progress
        assert book.value("client.submit(sum, [1, 2]).result()") == "3"
        execution = home.zoe_json("info", "dask")["id"]
        book.restart()
        load(book).run("%zoe attach dask")
        assert book.value("client.submit(sum, [1, 2, 3]).result()") == "6"
        assert home.zoe_json("info", "dask")["id"] == execution
    server.kill()
    server = home.start(app="server")
    with notebook(home, server) as book:
        load(book).run("%zoe attach dask")
        assert home.zoe_json("info", "dask")["id"] == execution
        assert book.value("client.submit(sum, [4, 5]).result()") == "9"
        with notebook(home, server, "other.ipynb") as other:
            text = load(other).run("%zoe attach dask").text
            assert f"%zoe attach {execution}" in text
            assert {one["name"] for one in home.zoe_json("ps")} == {"dask", "dask-2"}
            other.run("%zoe stop dask")
            wait_for(
                "only the first notebook's is left", lambda: [one["name"] for one in home.zoe_json("ps")] == ["dask"]
            )


@pytest.mark.dask
def test_a_notebook_is_told_that_its_cluster_has_ended(home: JupyterHome) -> None:
    server = home.start(app="server")
    with notebook(home, server) as book:
        load(book).run("%zoe attach dask")
        assert home.zoe("stop", "dask", "--wait").returncode == 0
        told: list[str] = []

        def told_now() -> bool:
            told.append(book.attempt("1").text)
            return "dask is being stopped" in told[-1] or "dask has ended: stopped" in told[-1]

        wait_for("the notice", told_now)
        assert "dask" not in book.attempt("1").text


@pytest.mark.dask
def test_an_interrupt_while_waiting_leaves_the_kernel_usable(home: JupyterHome) -> None:
    server = home.start(app="server")
    with notebook(home, server) as book:
        request = load(book).begin("%zoe attach dask")
        wait_for("the submission", lambda: home.zoe_json("ps"))
        book.interrupt()
        output = book.finish(request)
        if output.error:
            assert "goes on" in output.error
            assert "%zoe stop dask" in output.error
            assert "Traceback" not in output.error
        assert book.value("6 * 7") == "42"
        book.run("%zoe attach dask")
        assert book.value("client.submit(sum, [1, 2]).result()") == "3"


def test_a_kernel_that_holds_its_interpreter_is_not_dead_and_one_that_ended_is(home: JupyterHome) -> None:
    """The kernel manager is believed, not a heartbeat: nothing in the kernel can answer while a library keeps the GIL."""
    server = home.start(app="server")
    with notebook(home, server) as book:
        job = "%zoe start python-job --name held --with kernel --grace 1s --set code='import time; time.sleep(600)'"
        load(book).run(job)
        wait_for("the job", lambda: home.zoe_json("info", "held")["state"] == "running")
        book.run("import ctypes\nctypes.PyDLL(None).sleep(15)")
        assert home.zoe_json("info", "held")["state"] == "running"
        server.ask(f"api/kernels/{book.kernel_id}", method="DELETE")
        ended = wait_for("its end", lambda: (found := home.zoe_json("info", "held"))["state"] == "ended" and found)
        assert ended["reason"]["text"].startswith("no kernel has held it for 1 s")


@pytest.mark.spark
def test_spark_is_attached_with_plain_lines_for_people(home: JupyterHome) -> None:
    server = home.start(app="server")
    with notebook(home, server) as book:
        output = load(book).run("%zoe attach spark --as session", timeout_s=300)
        assert "`session`: Spark 4" in output.text
        assert "Spark UI" in output.html
        assert book.value("session.range(100).count()") == "100"
        book.run("from pyspark.sql import functions as F")
        assert book.value("session.range(5).agg(F.sum('id')).first()[0]") == "10"
        began = time.monotonic()
        text = book.run("%zoe attach spark --as session").text
        assert "`session`: Spark 4" in text
        assert time.monotonic() - began < 20
        check_other_hosts(book)
        check_other_environments(home, book)
        book.run("%zoe stop spark")
        assert book.value("'session' in dir()") == "False"


def check_other_hosts(book: Notebook) -> None:
    """A host that is not the literal ``localhost``, where the stock client refuses a token without TLS."""
    book.run(
        "from zoe_jupyter.attach import spark as attach_spark\n"
        "from zoe_jupyter.client.api import Api\n"
        "found = Api().connection('spark', 'spark')\n"
        "url = found['values']['url'].replace('localhost', '127.0.0.1')\n"
        "other = attach_spark._connect(url, attach_spark.secret(found, 'token'))"
    )
    assert book.value("other.range(7).count()") == "7"
    book.run("other.stop()")
    error = book.attempt("attach_spark._connect(url, 'wrong').range(1).count()").error
    assert "UNAUTHENTICATED" in error


def check_other_environments(home: JupyterHome, book: Notebook) -> None:
    """Kernels that lack Zoe are lent it; they hear what to install, and nothing starts for them."""
    server = home.servers[-1]
    execution = home.zoe_json("info", "spark")
    add_kernel(home, "bare")
    add_kernel(home, "old", pyspark="3.5.9")
    with notebook(home, server, "bare.ipynb", kernel="bare") as bare:
        assert bare.value("__import__('importlib.util').util.find_spec('pyspark')") == "None"
        error = load(bare).attempt("%zoe attach spark").error
        assert "has no pyspark. Install it with `%pip install" in error
        assert "Traceback" not in error
    with notebook(home, server, "old.ipynb", kernel="old") as old:
        error = load(old).attempt(f"%zoe attach {execution['id']}").error
        series = ".".join(book.value("session.version").split(".")[:2])
        assert f"has pyspark 3.5.9, the cluster runs {series}" in error
        assert f'%pip install "pyspark[connect]=={series}.*"' in error
    assert [one["id"] for one in home.zoe_json("ps")] == [execution["id"]]


@pytest.mark.spark
def test_a_classic_spark_has_its_driver_in_the_kernel_and_tells_nobody_the_secret(home: JupyterHome) -> None:
    """For what Spark Connect lacks; the cluster's shared secret is in no process's arguments."""
    server = home.start(app="server")
    with notebook(home, server) as book:
        load(book).run("%zoe attach spark --mode classic --workers 1", timeout_s=300)

        assert book.value("sc.parallelize(range(100), 2).map(lambda number: number * 2).sum()") == "9900"
        book.run(
            "import glob\n"
            "from zoe_jupyter.client.api import Api\n"
            "shared = Api().connection('spark', 'spark')['secrets']['secret'].encode()\n"
            "arguments = []\n"
            "for file in glob.glob('/proc/[0-9]*/cmdline'):\n"
            "    try:\n"
            "        arguments.append(open(file, 'rb').read())\n"
            "    except OSError:\n"
            "        pass"
        )
        assert book.value("len(shared) > 20 and not any(shared in line for line in arguments)") == "True"
        assert book.value("any(b'SparkSubmit' in line for line in arguments)") == "True"
        book.run("%zoe stop spark")
