"""What every stage uses: pinned tools, progress, jobs of GitHub Actions."""
