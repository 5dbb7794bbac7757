"""Fine-tuning of solved layers by distillation from the float32 network."""
