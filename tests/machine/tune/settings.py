"""A value of each setting that ``hpcnn tune`` tries, none of them the default."""

TUNED = {
    "OMPI_MCA_mpi_yield_when_idle": "0",
    "HOROVOD_CYCLE_TIME": "2",
    "HOROVOD_FUSION_THRESHOLD": "0",
    "HPCNN_FACTORS": "0",
    "HPCNN_GROUPED_ALLREDUCE": "1",
    "HPCNN_INTER_OP_THREADS_PER_CORE": "2",
    "HPCNN_INTRA_OP_THREADS_PER_CORE": "2",
}
