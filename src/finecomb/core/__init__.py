"""What every package uses: errors and hints, files written whole, facts about the machine, progress, processes of one's own. No torch."""
