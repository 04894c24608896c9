"""The cloud in a box: an AWS emulator on loopback, and beside it what the emulator lacks: a fleet.

usage: box.py PORT RUNNER FAULTS PROGRAMS

The emulator notes that a task runs, and no more. Here each task of a cluster whose name ends with `-runners` becomes a real process of
RUNNER, with nothing but the environment of its overrides (and HOME, and a PATH that begins with the folder PROGRAMS; an image would bring
both). When it ends, the task is stopped with its exit code; when its task is stopped, it gets SIGTERM, and SIGKILL after the container's
stop timeout. Every change is told on the default event bus in the form that ECS has published.

A file FAULTS/<run id> holds what is to go wrong with that run, one fault a line, the next one first; a line is taken away when its fault
has happened, and the file with its last line:

never      a task is never started
spot       a task is taken back
oom        a task has too little memory
throttled  RunTask is refused because there were too many calls
full       RunTask finds no room; AWS says so in an answer that is called a success
killed     a function is ended in the middle of a batch that holds a message of the run
lost       messages of the run are lost, for as long as the file is there; FAULTS/<run id>.lost names each
held       tasks of the run are not started, for as long as the file is there

Everything ends when standard input ends.
"""

import atexit
import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PORT, RUNNER, FAULTS, PROGRAMS = sys.argv[1:5]
LOOK_EVERY_S = 0.05
# On Fargate it takes half a minute; here long enough for a test to say what is to go wrong.
START_AFTER_S = 1.0
STOP_TIMEOUT_S = 120
# Long enough for a function to have begun with its batch, and too short to end it.
CUT_AFTER_S = 0.005
END_WITHIN_S = 5
RUN_ID = re.compile("run_[0-9a-f]{32}")

# What tasks and the emulator write is gone with the box, but for what tasks said, which stays until the next one.
SCRATCH = tempfile.tempdir = tempfile.mkdtemp(prefix="fleetest-box-")
LOGS = os.path.join(os.path.dirname(os.path.abspath(FAULTS)), "tasks")
shutil.rmtree(LOGS, ignore_errors=True)
os.makedirs(LOGS)

# It listens on every address unless told otherwise, and reads all of this while it is imported.
for name in [name for name in os.environ if name.startswith(("AWS_", "FLEETEST_"))]:
    del os.environ[name]
os.environ |= {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": PORT, "TMPDIR": SCRATCH, "STATE_DIR": SCRATCH, "LAMBDA_EXECUTOR": "local"}
# Its broker of devices listens on every address whatever it is told.
os.environ["IOT_MTLS_ENABLED"] = "0"
sys.argv = [sys.argv[0]]

from ministack.core import lambda_runtime, responses  # noqa: E402
from ministack.services import ecs, eventbridge, lambda_svc, sqs  # noqa: E402
from ministack.services.cloudformation import changesets, engine, handlers  # noqa: E402

processes: dict[str, subprocess.Popen] = {}
told: dict[str, str] = {}
killed: dict[str, tuple[str, str, int | None]] = {}
stopping: dict[str, float] = {}
seen: dict[str, float] = {}
taking = threading.Lock()
doomed = threading.local()


def transformed(template: dict, provided: list | None = None, previous: dict | None = None) -> dict:
    """What SAM makes of a template. On AWS it knows the values of parameters; the emulator tells it none, so here they are defaults."""
    given = copy.deepcopy(template)
    for name, value in engine._transform_parameters(template, provided, previous).items():
        given["Parameters"][name]["Default"] = value
    return engine._apply_transforms(given, provided, previous)


changesets._apply_transforms = handlers._apply_transforms = transformed


def fault(run: str) -> str:
    """What is to go wrong next with a run."""
    try:
        with open(os.path.join(FAULTS, run)) as file:
            return file.readline().strip()
    except OSError:
        return ""


def takes(run: str, kind: str) -> bool:
    """Takes a fault away that happens now; whether it was there."""
    path = os.path.join(FAULTS, run)
    with taking:
        try:
            with open(path) as file:
                lines = file.read().splitlines()
        except OSError:
            return False
        if lines[:1] != [kind]:
            return False
        if not lines[1:]:
            os.remove(path)
            return True
        with open(path + ".new", "w") as file:
            file.write("\n".join(lines[1:]))
        os.replace(path + ".new", path)
        return True


def run_of(started_by: str) -> str:
    return started_by.split("/")[0]


def tell(task: dict) -> None:
    """Tells the default bus of a task's state."""
    shown = {name: value for name, value in task.items() if not name.startswith("_")}
    event = {
        "EventId": responses.new_uuid(),
        "Source": "aws.ecs",
        "DetailType": "ECS Task State Change",
        "Detail": json.dumps(shown, default=str),
        "EventBusName": "default",
        "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Resources": [task["taskArn"]],
        "Account": responses.get_account_id(),
        "Region": responses.get_region(),
    }
    told[task["taskArn"]] = task["lastStatus"]
    eventbridge._dispatch_event(event)


def stop(task: dict, code: str, reason: str, exit_code: int | None, detail: str = "") -> None:
    for container in task.get("containers", []):
        container["exitCode"] = exit_code
        if detail:
            container["reason"] = detail
    ecs._mark_task_stopped(task["taskArn"], task, reason, code, exit_code)
    if code == "TaskFailedToStart":
        task["containers"] = []
    tell(task)


def start(task: dict) -> None:
    arn = task["taskArn"]
    run = run_of(task.get("startedBy", ""))
    if fault(run) == "held":
        return
    if takes(run, "never"):
        told[arn] = "STOPPED"
        stop(task, "TaskFailedToStart", "CannotPullContainerError: pull image manifest has been retried 1 time(s)", None)
        return
    overrides = task.get("overrides", {}).get("containerOverrides", [])
    given = {entry["name"]: entry["value"] for one in overrides for entry in one.get("environment", [])}
    home = tempfile.mkdtemp(prefix="task-")
    environment = {"PATH": PROGRAMS + os.pathsep + os.environ["PATH"], "HOME": home, "TMPDIR": home} | given
    with open(os.path.join(LOGS, f"{run}-{os.path.basename(arn)}.log"), "w") as log:
        processes[arn] = subprocess.Popen(
            [RUNNER], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    tell(task)


def look_after(task: dict) -> None:
    """Brings process and task together."""
    arn = task["taskArn"]
    process = processes[arn]
    if task["lastStatus"] == "STOPPED" and told.get(arn) != "STOPPED":
        # Somebody asked for it. AWS tells of it when the container has ended.
        if arn not in stopping:
            stopping[arn] = time.monotonic() + STOP_TIMEOUT_S
            process.send_signal(signal.SIGTERM)
        if process.poll() is None:
            if time.monotonic() > stopping[arn]:
                process.kill()
            return
        for container in task.get("containers", []):
            container["exitCode"] = process.returncode if process.returncode >= 0 else 128 - process.returncode
        tell(task)
    elif process.poll() is not None and told.get(arn) != "STOPPED":
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        stop_code, reason, detail = killed.get(arn, ("EssentialContainerExited", "Essential container in task exited", None))
        stop(task, stop_code, reason, code, detail or "")
    elif process.poll() is None and arn not in killed:
        run = run_of(task.get("startedBy", ""))
        if takes(run, "spot"):
            killed[arn] = ("SpotInterruption", "Your Spot Task was interrupted.", None)
            process.send_signal(signal.SIGTERM)
        elif takes(run, "oom"):
            detail = "OutOfMemoryError: Container killed due to memory usage"
            killed[arn] = ("EssentialContainerExited", "Essential container in task exited", detail)
            process.kill()


run_task = ecs._run_task
run_batch = lambda_svc._run_sqs_batch
invoke = lambda_runtime.ProvidedWorker.invoke


def refused_run_task(asked: dict) -> tuple:
    run = run_of(asked.get("startedBy", ""))
    if takes(run, "throttled"):
        return responses.error_response_json("ThrottlingException", "Rate exceeded.", 400)
    if takes(run, "full"):
        reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
        return responses.json_response({"tasks": [], "failures": [{"reason": reason}]})
    return run_task(asked)


def disturbed_batch(esm: dict, function: dict, event: dict, batch: list, url: str, name: str) -> None:
    """A batch of messages on its way to a function."""
    runs = {record["messageId"]: RUN_ID.findall(record["body"]) for record in event["Records"]}
    lost = [message for message in batch if any(fault(run) == "lost" for run in runs.get(message["id"], []))]
    if lost:
        sqs._delete_messages_for_esm(url, {message["receipt_handle"] for message in lost})
        gone = {message["id"] for message in lost}
        for message in gone:
            for run in runs[message]:
                with open(os.path.join(FAULTS, run + ".lost"), "a") as file:
                    file.write(message + "\n")
        batch = [message for message in batch if message["id"] not in gone]
        event = {"Records": [record for record in event["Records"] if record["messageId"] not in gone]}
    doomed.run = next((run for each in runs.values() for run in each if fault(run) == "killed"), None)
    try:
        if batch:
            run_batch(esm, function, event, batch, url, name)
    finally:
        doomed.run = None


def cut_invoke(worker: lambda_runtime.ProvidedWorker, event: dict, request_id: str, **more: str) -> dict:
    """An invocation; the platform ends the process of a doomed one soon after it has begun, as it does when the time is over."""
    run = getattr(doomed, "run", None)
    if run is None:
        return invoke(worker, event, request_id, **more)

    over = threading.Event()

    def cut() -> None:
        while worker._current_request_id != request_id and not over.is_set():
            time.sleep(0.001)
        time.sleep(CUT_AFTER_S)
        if worker._current_request_id == request_id:
            worker._proc.kill()

    threading.Thread(target=cut, daemon=True).start()
    result = invoke(worker, event, request_id, **more)
    over.set()
    if result["status"] == "error":
        takes(run, "killed")
    return result


ecs._ACTION_MAP["RunTask"] = refused_run_task
lambda_svc._run_sqs_batch = disturbed_batch
lambda_runtime.ProvidedWorker.invoke = cut_invoke


def one_pass() -> None:
    for key, task in list(ecs._tasks.all_items()):
        if not task.get("clusterArn", "").endswith("-runners"):
            continue
        # Everything here happens in the account and region of the task.
        region, account = task["taskArn"].split(":")[3:5]
        responses.set_request_account_id(account)
        responses.set_request_region(region)
        try:
            if task["taskArn"] in processes:
                look_after(task)
            elif task["taskArn"] not in told and task["lastStatus"] == "STOPPED":
                # Somebody did not want it before it began.
                tell(task)
            elif task["taskArn"] not in told and task["lastStatus"] == "RUNNING":
                if time.monotonic() - seen.setdefault(task["taskArn"], time.monotonic()) >= START_AFTER_S:
                    start(task)
        except Exception:
            traceback.print_exc()


def fleet() -> None:
    while True:
        one_pass()
        time.sleep(LOOK_EVERY_S)


def end_with_standard_input() -> None:
    os.read(0, 1)
    for process in processes.values():
        process.kill()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_WITHIN_S)
    os._exit(0)


atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
threading.Thread(target=fleet, daemon=True).start()
threading.Thread(target=end_with_standard_input, daemon=True).start()

from ministack.app import main  # noqa: E402

main()
