"""The lectures' networks and how many parameters each has."""

# id: (all parameters, trainable parameters), as the lectures print them or as counted by hand:
# dense = in*out + out, convolution = k*k*in*out + out, batch normalization = 4*c of which 2*c are trainable.
COUNTS = {
    "scinet-dense-sigmoid": (23_860, 23_860),
    "scinet-dense-sigmoid-2017": (23_860, 23_860),
    "scinet-dense-dropout": (23_860, 23_860),
    "scinet-dense-tanh": (23_860, 23_860),
    "scinet-dense-tanh-2017": (23_860, 23_860),
    "scinet-cnn1": (289_630, 289_630),
    "scinet-cnn1-2017": (289_630, 289_630),
    "scinet-cnn2": (108_870, 108_870),
    "scinet-functional": (23_860, 23_860),
    "psc-toy-3-3-2": (15, 15),
    "psc-fc64": (55_050, 55_050),
    "psc-fc512": (669_706, 669_706),
    "psc-fc512-deep": (932_362, 932_362),
    "psc-cnn1": (542_230, 542_230),
    "psc-cnn2": (1_199_882, 1_199_882),
    "psc-cnn-dropout": (1_199_882, 1_199_882),
    "psc-cnn-batchnorm": (1_200_778, 1_200_330),
    "psc-fc64-tensorboard": (55_050, 55_050),
    "psc-mirrored": (50_890, 50_890),
    "psc-hparams": (12_730, 12_730),
    "horovod-mnist": (1_199_882, 1_199_882),
    "wolter-mlp": (932_362, 932_362),
    "wolter-mlp-adam": (932_362, 932_362),
    "wolter-mnist-cnn": (225_162, 225_162),
    "wolter-mnist-cnn-adadelta": (1_199_882, 1_199_882),
    "wolter-cifar10-cnn": (1_250_858, 1_250_858),
    "wolter-cifar10-resnet110": (3_323_210, 3_302_442),
    # 5*5*16+16, 5*5*16*32+32, 4*4*32*128+128, 128*10+10
    "lenet": (80_202, 80_202),
    # 10,000 words * 16, 16*16+16, 16*1+1
    "imdb-embedding": (160_289, 160_289),
    # 10,000 words * 32, 5*32*64+64, 64*64+64, 64*1+1
    "imdb-conv1d": (334_529, 334_529),
    "reuters-dense": (647_214, 647_214),
    "housing-dense": (5_121, 5_121),
    # twice 5*5*20+20, 2*(5*12*20)*100+100, 100*10+10, 5*12*20*1+1
    "scinet-two-inputs": (243_351, 243_351),
    # counted by tests/models/map_counts.py
    "unet": (31_039_363, 31_039_363),
    "tiramisu": (7_512_131, 7_508_483),
    "deeplab": (43_760_323, 43_714_787),
}
