"""TRL DPO under DeepSpeed ZeRO-3 on CPU, started by torchrun. The first rank prints one JSON line."""
import os as _os
ROOT = _os.environ.get("PEERS_HOME", ".peers"); _os.makedirs(ROOT, exist_ok=True)
import os, time, json, argparse
T0 = time.perf_counter()
ap = argparse.ArgumentParser()
ap.add_argument("--model", default="tiny-qwen2"); ap.add_argument("--mode", default="reload"); ap.add_argument("--steps", type=int, default=12)
ap.add_argument("--bs", type=int, default=4); ap.add_argument("--lr", type=float, default=1e-4); ap.add_argument("--stage", type=int, default=3); ap.add_argument("--persist", type=int, default=100000)
a = ap.parse_args()
for k in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(k, None)
os.environ.update(HF_HUB_OFFLINE="1", TQDM_DISABLE="1", HF_HOME=f"{ROOT}/hf", CUDA_VISIBLE_DEVICES="", DS_ACCELERATOR="cpu", ACCELERATE_USE_DEEPSPEED="true", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
import resource, statistics, warnings; warnings.filterwarnings("ignore")
import torch; torch.set_num_threads(1); rank = int(os.environ.get("RANK", 0)); world = int(os.environ["WORLD_SIZE"])
import datasets, transformers; datasets.disable_progress_bars(); transformers.logging.set_verbosity_error()
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import DPOConfig, DPOTrainer
from peft import LoraConfig
# accelerate 1.15 counts world size 1 for DeepSpeed on a CPU-only host (PartialState._prepare_backend returns DistributedType.NO
# when cpu=False and no accelerator is found); make it see gloo + MULTI_CPU so that num_processes is right. use_cpu=True would disable DeepSpeed.
from accelerate.state import PartialState; from accelerate.utils import DistributedType
PartialState._prepare_backend = lambda self, cpu=False, sagemaker_dp=False, backend=None: ("gloo", DistributedType.MULTI_CPU)
t_import = time.perf_counter() - T0
path = f"{ROOT}/{a.model}"; tok = PreTrainedTokenizerFast.from_pretrained(path)
d = json.load(open(f"{ROOT}/pairs.json")); txt = lambda ids: " ".join(f"t{i}" for i in ids); N = 128
ds = Dataset.from_dict({"prompt": [txt(x) + " " for x in d["prompt_ids"][:N]], "chosen": [txt(x[:-1]) + "<eos>" for x in d["chosen_ids"][:N]], "rejected": [txt(x[:-1]) + "<eos>" for x in d["rejected_ids"][:N]]})
zero = dict(stage=a.stage)
if a.stage == 3: zero.update(overlap_comm=False, contiguous_gradients=True, reduce_bucket_size=int(5e6), stage3_prefetch_bucket_size=int(1e6), stage3_param_persistence_threshold=a.persist, stage3_gather_16bit_weights_on_model_save=True)
deepspeed = dict(train_micro_batch_size_per_gpu=a.bs // world, gradient_accumulation_steps=1, train_batch_size=a.bs, gradient_clipping="auto",
  zero_allow_untested_optimizer=True, zero_force_ds_cpu_optimizer=False, bf16=dict(enabled=False), fp16=dict(enabled=False), zero_optimization=zero)
class Clock(TrainerCallback):
    def __init__(s): s.t = []; s.logs = []
    def on_step_begin(s, *_, **k): s.b = time.perf_counter()
    def on_step_end(s, *_, **k): s.t.append(time.perf_counter() - s.b)
    def on_log(s, args, state, control, logs=None, **k): s.logs.append(dict(logs))
ck = Clock()
kw = dict(output_dir=f"{ROOT}/out/zero3", per_device_train_batch_size=a.bs // world, max_steps=a.steps, use_cpu=False, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", logging_steps=10, disable_tqdm=True,
  learning_rate=a.lr, lr_scheduler_type="constant", max_length=128, beta=0.1, optim="adamw_torch", dataloader_pin_memory=False, train_sampling_strategy="sequential", deepspeed=deepspeed)
peft_config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules="all-linear") if a.mode == "lora" else None
if a.mode == "precompute": kw["precompute_ref_log_probs"] = True
if a.mode == "sync": kw.update(sync_ref_model=True, ref_model_sync_steps=1, ref_model_mixup_alpha=0.6)
t = time.perf_counter()
args = DPOConfig(**kw)  # before from_pretrained, so that the weights are sharded as they are loaded
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
tr = DPOTrainer(model=model, args=args, train_dataset=ds, processing_class=tok, peft_config=peft_config, callbacks=[ck])
t_ctor = time.perf_counter() - t
t = time.perf_counter(); tr.train(); t_train = time.perf_counter() - t
s = sorted(ck.t[min(5, len(ck.t) // 4):]); peak = torch.tensor([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024])
torch.distributed.all_reduce(peak, op=torch.distributed.ReduceOp.MAX)
if rank == 0: print(json.dumps(dict(kind="zero", stage=a.stage, mode=a.mode, model=a.model, world=world, steps=len(ck.t), med_ms=round(1e3 * statistics.median(s), 1), min_ms=round(1e3 * s[0], 1), first_ms=round(1e3 * ck.t[0], 1), t_import=round(t_import, 2), t_ctor=round(t_ctor, 2), t_train=round(t_train, 1), rss_peak=round(peak.item()))), flush=True)
