"""sbatch, squeue, scancel and srun on one machine, for jobs that start at once: fake_slurm.py NAME ...; its state is in FAKE_SLURM."""

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(os.environ["FAKE_SLURM"])
NAME = sys.argv.pop(1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def options(script: str) -> dict[str, str]:
    lines = [line[len("#SBATCH --") :] for line in script.splitlines() if line.startswith("#SBATCH --")]
    return dict((*line.split("=", 1), "")[:2] for line in lines)


if NAME == "sbatch":
    script = Path(sys.argv[-1]).read_text()
    wanted = options(script)
    if wanted.get("partition") == "nowhere":
        sys.exit("sbatch: error: invalid partition specified: nowhere")
    number = len(list(HERE.glob("*.job"))) + 1
    tasks = wanted["ntasks-per-node"]
    environment = {
        **os.environ, "SLURM_JOB_ID": str(number), "SLURM_JOB_NAME": wanted["job-name"], "SLURM_NTASKS": tasks, "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_NODELIST": "localhost", "SLURM_NTASKS_PER_NODE": tasks,
    }  # fmt: skip
    with open(wanted["output"], "ab") as log:
        process = subprocess.Popen(
            ["bash", sys.argv[-1]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    (HERE / f"{number}.job").write_text(str(process.pid))
    print(f"{number};cluster")
elif NAME == "squeue":
    own = next((word.partition("=")[2] for word in sys.argv if word.startswith("--jobs=")), None)
    for path in HERE.glob("*.job"):
        if alive(int(path.read_text())) and own in (None, path.stem):
            print("RUNNING" if own else f"{path.stem}|RUNNING|None")
elif NAME == "scancel":
    process = int((HERE / f"{sys.argv[-1]}.job").read_text())
    if "--signal=TERM" in sys.argv:  # to the job's steps, not to its script
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
    else:
        os.killpg(process, signal.SIGKILL)
else:  # srun, one task
    words = [word for word in sys.argv[1:] if not word.startswith("--kill")]
    os.execvp(words[0], words)
