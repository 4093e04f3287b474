"""Loads into transformers what save-exports.ts exported, and prints how far its logits are from those that Mooring computed."""
import json, os, sys, warnings
for k in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(k, None)
os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import transformers
from safetensors.torch import load_file
transformers.logging.set_verbosity_error()
folder = sys.argv[1]; failed = False
for name in json.load(open(f"{folder}/families.json")):
    at = f"{folder}/{name}"
    tokens, ours = load_file(f"{at}/base/expected.safetensors"), load_file(f"{at}/scores.safetensors")["logits"]
    ids, mask = tokens["input_ids"].long(), tokens["attention_mask"].long()
    def load(path): return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    (model, loading), (base, _) = load(f"{at}/run/model"), load(f"{at}/base")
    apart = sorted(key for keys in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in loading[keys])
    with torch.no_grad(): logits, plain = (each.eval()(input_ids=ids, attention_mask=mask).logits for each in (model, base))
    real = mask.bool()
    difference, change = ((a - b)[real].abs().max().item() for a, b in ((logits, ours), (logits, plain)))
    failed |= difference > 2e-4 or bool(apart) or change < 1e-4
    print(f"{name:8} transformers - Mooring {difference:.1e}   trained - base {change:.1e}   keys apart {apart}")
sys.exit(failed)
