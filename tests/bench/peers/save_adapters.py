"""Saves with PEFT an adapter of each kind over the fixtures' models, and what PEFT computes with it, for load-adapters.ts to compare."""
import json, os, sys, warnings
for k in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"): os.environ.pop(k, None)
os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
models, out = os.path.join(os.path.dirname(__file__), "../../fixtures/models"), sys.argv[1]
kinds = {
    "embedding": ("llama", dict(target_modules=["embed_tokens", "k_proj"])),
    "tied_embedding": ("qwen2", dict(target_modules=["embed_tokens"])),
    "tied_head": ("qwen2", dict(target_modules=["lm_head", "q_proj"])),
    "tied_head_saved": ("qwen2", dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "tied_embedding_saved": ("qwen2", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "norms_saved": ("qwen3", dict(target_modules=["q_proj"], modules_to_save=["norm"])),
    "excluded": ("qwen3", dict(target_modules=["q_proj", "v_proj"], exclude_modules=["layers.0.self_attn.q_proj"])),
    "bias_all": ("gpt2", dict(target_modules=["c_attn"], bias="all")),
    "transposed_dora": ("gpt2", dict(target_modules=["c_attn", "c_fc"], use_dora=True)),
    "position_embedding": ("gpt2", dict(target_modules=["wpe", "c_attn"])),
    "bf16": ("llama", dict(target_modules="all-linear")),
}
for name, (base, options) in kinds.items():
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{models}/{base}", dtype=torch.float32).eval()
    tokens = load_file(f"{models}/{base}/expected.safetensors")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options)).eval()
    random = torch.Generator().manual_seed(3)
    for parameter, value in sorted(model.named_parameters()):
        noise = 0.1 * torch.randn(value.shape, generator=random)
        if "magnitude" in parameter: value.data *= 1 + noise
        elif value.requires_grad: value.data += noise
        if name == "bf16" and value.requires_grad: value.data = value.data.bfloat16().float()
    model.save_pretrained(f"{out}/{name}")
    if name == "bf16":
        file = f"{out}/{name}/adapter_model.safetensors"
        save_file({key: value.bfloat16() for key, value in load_file(file).items()}, file, {"format": "pt"})
    mask = tokens["attention_mask"]
    with torch.no_grad(): logits = model(input_ids=tokens["input_ids"].long(), attention_mask=mask.long()).logits
    save_file({"logits": (logits * mask.bool()[..., None]).contiguous()}, f"{out}/{name}/expected.safetensors")
json.dump({name: base for name, (base, _) in kinds.items()}, open(f"{out}/bases.json", "w"))
