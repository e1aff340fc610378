"""mlx-lm, called in processes of ours: training, judging, fusing. Only they import mlx."""
