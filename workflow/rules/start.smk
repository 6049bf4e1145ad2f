"""What a run looks at before its first job: who else writes this experiment's files, and the space on its disk."""

import getpass
import socket
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec

import psutil

RUN_LOCK = Path(RESULTS, ".run")
STEPS = RUN_LOCK.with_name(".steps")
LONG = 10  # jobs that extract or remove; a run of fewer is short
SNAKEMAKES_RATE = 100, 1  # jobs, seconds
HELD = []  # the lock on this run's experiment, for as long as this process lives


def check_writable():
    """Stop with one line unless Snakemake can keep its own files, which even a plan needs."""
    folder = Path.cwd() / ".snakemake"
    folder = folder if folder.exists() else folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WorkflowError(f"{folder} can't be written; Snakemake keeps what it knows of runs there, of plans too")


def find_own_python():
    """Let jobs find the Python of the environment that Snakemake was called from by its path, if that has the libraries.

    One that is activated is on PATH already, where whatever stands before it is meant.
    """
    own, paths = str(Path(sys.executable).parent), os.environ.get("PATH", "").split(os.pathsep)
    if own not in paths and find_spec("torch"):
        os.environ |= {"PATH": os.pathsep.join([own, *paths])}


def leave_rates_alone():
    """Don't limit how many local jobs start in a second, where that is left to Snakemake: cores do.

    With a limit its scheduler looks at all waiting jobs again a second after it did, once more for every job that ends:
    after a hundred jobs that is a third of a core.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and not on_cluster() and (limit.max_jobs, limit.timespan) == SNAKEMAKES_RATE:
        workflow.scheduler.job_rate_limiter = None


def refuse_second_writers():
    """Stop while another run, or steps of an earlier one, are at work: they would write what this run's jobs write.

    A run holds a lock for as long as it lasts, and its steps share another, on any executor; a file system that has no
    locks is passed over. Slurm is asked for its jobs, too: those that wait hold nothing yet. A run that makes no file,
    as `cost`, disturbs nobody.
    """
    if not any(job.output for job in workflow.dag.needrun_jobs()):
        return
    if workflow.executor_plugin.name == "slurm":
        refuse_slurm_jobs()
    try:
        RUN_LOCK.parent.mkdir(parents=True, exist_ok=True)
        RUN_LOCK.touch()
    except OSError as error:
        raise WorkflowError(str(unwritable(RUN_LOCK, error))) from None
    try:
        lock = take_lock(RUN_LOCK)
        if lock is None:
            said = RUN_LOCK.read_text().strip()
            raise WorkflowError(f"another run is at work in {RUN_LOCK.parent} ({said}); wait until it ends, or end it")
        HELD.append(lock)
        lock.truncate(0)
        print(f"process {os.getpid()} on {socket.gethostname()}", file=lock, flush=True)
    except OSError:  # no locks; or no space for saying who holds it, which is held all the same
        pass
    refuse_steps()


def refuse_steps():
    """Stop if steps of an earlier run are at work, whose Snakemake was killed: on this machine, or anywhere by their lock."""
    left, held = find_steps(), False
    named = [f"{script} (process {process})" for process, script in left]
    with suppress(OSError):  # without locks, this machine's processes are what can be seen
        lock = take_lock(STEPS)
        if lock is not None:
            with lock:
                lock.truncate(0)
        else:
            lines = [line.split(" ", 2) for line in STEPS.read_text().splitlines()]
            others = [line for line in lines if len(line) == 3 and line[0] != socket.gethostname()]
            elsewhere = [f"{script} (process {process} on {machine})" for machine, process, script in others]
            named += ["one or more of " + ", ".join(elsewhere)] if elsewhere else []  # all that began are listed
            held = True
    if left or held:
        kill = f": kill {' '.join(str(process) for process, _ in left)}" if left else ""
        said = ", ".join(named) or "which ones can't be seen from here"
        raise WorkflowError(
            f"steps of an earlier run are still at work in {RUN_LOCK.parent}: {said}; end them first{kill}"
        )


def find_steps():
    """Steps of this folder's experiment that are at work on this machine: their processes' numbers, and their scripts."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or []
        script = next((Path(part).name for part in command[1:3] if part.startswith(f"{SCRIPTS}/")), None)
        if not script or not any(f"{RESULTS}/" in part for part in command):
            continue
        with suppress(psutil.Error):  # one of another experiment's run may read images of this one
            if process.cwd() == os.getcwd() and process.environ().get(STEPS_LOCK, str(STEPS)) == str(STEPS):
                found.append((process.pid, script))
    return found


def refuse_slurm_jobs():
    """Stop while Slurm has jobs of an earlier run in this folder, at work or waiting."""
    squeue = ["squeue", "--user", getpass.getuser(), "--noheader", "--format=%i|%Z|%k"]
    try:
        listed = subprocess.run(squeue, text=True, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "").strip().splitlines()[-1:] or [str(error)]
        raise WorkflowError(f"squeue can't tell whether jobs of an earlier run are left: {said[0]}") from None
    rows = [line.split("|", 2) for line in listed.splitlines()]
    # the executor's comment on a job says which rule or group of rules it runs
    jobs = [job for job, folder, comment in rows if folder == os.getcwd() and comment.startswith(("rule_", "group_"))]
    if jobs:
        raise WorkflowError(f"jobs of an earlier run are still there; end them first: scancel {' '.join(jobs)}")


def compare_space():
    """Stop a long run before its first job if the disk hasn't the space for what it will write, by the cost's estimate.

    The estimate is made where extraction's jobs run, since it needs torch too. Where that can't be, as where jobs run in
    containers, nothing is compared; nor where results go into a storage, of which this disk says nothing.
    """
    if workflow.storage_settings.default_storage_provider:
        return
    jobs = list(workflow.dag.needrun_jobs())
    long = [job for job in jobs if job.rule.name in ("extract_attributions", "measure_removal", "measure_curves")]
    if len(long) < LONG or workflow.touch:
        return
    counted = Counter((job.rule.name, *map(job.wildcards.get, ("network", "method"))) for job in jobs)
    planned = json.dumps([[*job, count] for job, count in counted.items()])
    settings = json.dumps(config)
    in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    try:
        said = shell(
            "python {SCRIPTS:q}/estimate_cost.py --config={settings:q} --planned={planned:q} 2>/dev/null",
            read=True,
            conda_env=long[0].conda_env.address if in_conda else None,
        )
        needed = int(said)
    except (subprocess.CalledProcessError, ValueError):
        return
    replaced = [file for job in jobs for file in map(str, job.output) if os.path.isfile(file)]
    needed -= sum(map(os.path.getsize, replaced))  # each is removed before its job begins
    free = free_space(RUN_LOCK)
    if needed > free:
        raise WorkflowError(
            f"no space left on the disk of {RUN_LOCK.parent}: needed about {describe_size(needed)}, "
            f"{describe_size(free)} are free; `snakemake --cores 1 cost` says what for"
        )


def refuse_older_results():
    """Stop if results are of an earlier version of the workflow, which this one can't go on with.

    It stored removal by groups of methods, as layers-0.h5, where there is now a file for each method.
    """
    older = [path for group in PAPERS_GROUPS for path in RUN_LOCK.parent.glob(f"removal/*/*/{group}-*.h5")]
    if older:
        raise WorkflowError(
            f"{older[0]} is of an earlier version of this workflow, which stored removal by groups of methods; "
            f"move {RUN_LOCK.parent} away, or give the new results another name: --config experiment=…"
        )


find_own_python()
check_writable()
refuse_older_results()
