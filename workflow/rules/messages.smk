"""What a person sees of a run: a line for each job that ended, and at the end what came out. All else is in its log."""

import signal
import threading
import time

from snakemake.logging import logger

from explanations.run_messages import Durations, Job, RunMessages
from explanations.statistics.counting import describe_findings

DURATIONS = Durations.read(ROOT / "workflow/durations.csv")
SHOWN_MESSAGES = []  # of this run, if it is one whose messages are ours


def planned_jobs():
    """The jobs that are to run, by Snakemake's numbers; targets, which only collect, are left out."""
    return {
        workflow.dag.jobid(job): Job(
            " ".join([job.rule.name, *map(str, job.wildcards)]),
            DURATIONS.expect((job.rule.name, *(job.wildcards.get(key, "") for key in ("network", "method")))),
            Path(job.log[0]) if job.log else None,
        )
        for job in workflow.dag.needrun_jobs()
        if job.output
    }


def jobs_at_once():
    """How many jobs run at the same time."""
    here = workflow.cores if workflow.local_exec else workflow.nodes
    return max(1, min(here or 1, len(list(workflow.dag.needrun_jobs())) or 1))


def shorten_messages():
    """Show of this run what RunMessages does, unless Snakemake is asked for other than its usual messages."""
    asked = workflow.output_settings
    handler = next((each for each in logger.handlers if each.name == "DefaultStreamHandler"), None)
    others = (
        not workflow.modifier.is_main_snakefile() or not workflow.is_main_process
    )  # another workflow's run, a job's process
    unusual = asked.quiet or asked.verbose or asked.printshellcmds or asked.dryrun or asked.debug_dag
    if others or unusual or handler is None:
        return
    messages = RunMessages(handler.formatter, planned_jobs, jobs_at_once)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:

        def stop(number, frame):
            messages.stopped = True  # known before the first job's end is told
            signal.default_int_handler(number, frame)

        signal.signal(signal.SIGINT, stop)

    def say_what_is_at_work():
        while True:
            time.sleep(5)
            if said := messages.describe_work():
                logger.info(said)

    threading.Thread(target=say_what_is_at_work, daemon=True).start()
    handler.addFilter(messages)
    handler.setFormatter(messages)
    SHOWN_MESSAGES.append(messages)


def say_what_came_out():
    """Which files a run has made that a person looks at first, and what its findings are."""
    made = [f"{RESULTS}/{file}" for file in ("findings.html", "report.html", "figures")]
    made = [path for path in made if os.path.exists(path)]
    if not SHOWN_MESSAGES or not made:
        return
    findings = Path(RESULTS, "findings.csv")
    if findings.exists():
        logger.info(f"Findings: {describe_findings(findings)}")
    logger.info(f"Look at {', '.join(made)}")


def say_how_to_go_on():
    """What a run that was stopped leaves, and what goes on with it."""
    if any(messages.stopped for messages in SHOWN_MESSAGES):
        logger.info("Stopped: what was finished stays, and the same command goes on from there.")


shorten_messages()
