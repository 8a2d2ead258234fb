"""Whatever bytes come: every refusal is a problem, nothing of it is stored, and the service goes on."""

from tests.support.fuzzing import SERVING, fuzz
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually


def test_a_thousand_raw_requests_do_no_harm(tmp_path):
    with ServingProcess(tmp_path, SERVING) as serving:
        eventually(lambda: serving.status("/ready") == 200, 60)
        outcomes = fuzz(serving, seed=1, requests=1000)
        log = serving.log.read_text()
    assert {"200", "400", "404", "405", "413", "414", "415", "431"} <= outcomes.keys(), outcomes
    assert '"level":"error"' not in log
