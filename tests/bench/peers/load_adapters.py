"""Loads into PEFT what save-adapters.ts saved, and prints how far PEFT's logits are from those that Mooring computed."""
import json, os, sys, warnings
for k in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(k, None)
os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import transformers
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
transformers.logging.set_verbosity_error()
folder = sys.argv[1]; failed = False
for name in json.load(open(f"{folder}/kinds.json")):
    at = f"{folder}/{name}"
    base = transformers.AutoModelForCausalLM.from_pretrained(f"{at}/base", dtype=torch.float32).eval()
    tokens, ours = load_file(f"{at}/base/expected.safetensors"), load_file(f"{at}/scores.safetensors")["logits"]
    ids, mask = tokens["input_ids"].long(), tokens["attention_mask"].long()
    with torch.no_grad():
        plain = base(input_ids=ids, attention_mask=mask).logits
        model = PeftModel.from_pretrained(base, f"{at}/adapter").eval()
        logits = model(input_ids=ids, attention_mask=mask).logits
    # nothing of the file may have been left out, and nothing that PEFT has may be missing from it
    saved, held = load_file(f"{at}/adapter/adapter_model.safetensors"), get_peft_model_state_dict(model, save_embedding_layers=False)
    apart = sorted(set(saved) ^ set(held))
    real = mask.bool()
    difference, change = ((a - b)[real].abs().max().item() for a, b in ((logits, ours), (logits, plain)))
    failed |= difference > 2e-4 or bool(apart) or change < 1e-4
    print(f"{name:24} PEFT - Mooring {difference:.1e}   PEFT - base {change:.1e}   keys apart {apart}")
sys.exit(failed)
