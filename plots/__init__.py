"""Records become Plotly figures; one file, one figure. Facts first, drawing second."""

from plots.drift import plot_drift as plot_drift
from plots.landmarks import plot_landmarks as plot_landmarks
from plots.matrix import plot_matrix as plot_matrix
from plots.timeline import CURSOR_SHAPE as CURSOR_SHAPE
from plots.timeline import plot_timeline as plot_timeline
from plots.timeline import yours as yours
