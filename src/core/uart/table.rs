// SPDX-License-Identifier: Apache-2.0
//! The UARTs that are known, a row each.
//!
//! Registers are called as in the manual that a row names, or, where its maker publishes none, as in
//! Linux's driver.

use super::layout::{Beside, Change, Layout, Register};

const WORD: u8 = 4;

const NO_CHANGE: Change = Change {
    offset: 0,
    clear: 0,
    set: 0,
};
const NOTHING: Beside = Beside {
    offset: 0,
    value: 0,
};

pub(super) const fn word(offset: u16) -> Register {
    Register {
        offset,
        width: WORD,
    }
}

/// A row of words, with one bit for "room" or, if `room` is 0, for "full".
const fn words(status: u16, mask: u32, room: u32, data: u16) -> Layout {
    Layout {
        status: word(status),
        mask,
        room,
        data: word(data),
        mark: 0,
        enable: [NO_CHANGE; 2],
        before: [NOTHING; 2],
        after: NOTHING,
        big_endian: false,
        is_16550: false,
    }
}

/// The same with a bit that enables the transmitter.
const fn enabled_words(status: u16, mask: u32, room: u32, data: u16, at: u16, set: u32) -> Layout {
    let change = Change {
        offset: at,
        clear: 0,
        set,
    };
    Layout {
        enable: [change, NO_CHANGE],
        ..words(status, mask, room, data)
    }
}

/// Arm PL011 (DDI 0183, 3.3.1 UARTDR, 3.3.3 UARTFR.TXFF), and the generic UART, a subset of it (Arm
/// Base System Architecture, DEN 0094, appendix "Generic UART").
pub(super) const PL011: Layout = words(0x18, 1 << 5, 0, 0x00);

/// Cadence (Zynq UltraScale+ TRM, UG1085, "UART"): Channel_sts.TNFULL, TX_RX_FIFO, Control.TXDIS and
/// TXEN.
const CADENCE: Layout = Layout {
    enable: [
        Change {
            offset: 0x00,
            clear: 1 << 5,
            set: 1 << 4,
        },
        NO_CHANGE,
    ],
    ..words(0x2c, 1 << 4, 0, 0x30)
};

/// NXP i.MX (i.MX 8M Plus Reference Manual, "UART"): UTS.TXFULL, UTXD, UCR1.UARTEN, UCR2.TXEN and
/// SRST.
const IMX: Layout = Layout {
    enable: [
        Change {
            offset: 0x80,
            clear: 0,
            set: 1,
        },
        Change {
            offset: 0x84,
            clear: 0,
            set: 1 << 2 | 1,
        },
    ],
    ..words(0xb4, 1 << 4, 0, 0x40)
};

/// NXP LPUART of 32 bits (i.MX 93 Reference Manual, "LPUART"; Linux's fsl_lpuart.c): STAT.TDRE, DATA,
/// CTRL.TE, behind VERID, PARAM, GLOBAL and PINCFG where there are these.
const fn lpuart(first: u16, big_endian: bool) -> Layout {
    Layout {
        big_endian,
        ..enabled_words(
            first + 0x04,
            1 << 23,
            1 << 23,
            first + 0x0c,
            first + 0x08,
            1 << 19,
        )
    }
}

/// Qualcomm GENI (Linux's qcom_geni_serial.c and qcom-geni-se.h): SE_GENI_STATUS.M_GENI_CMD_ACTIVE,
/// SE_GENI_TX_FIFOn; before it a transfer of one character is begun, by SE_UART_TX_TRANS_LEN and by
/// UART_START_TX, the opcode, in SE_GENI_M_CMD0.
const GENI: Layout = Layout {
    before: [
        Beside {
            offset: 0x270,
            value: 1,
        },
        Beside {
            offset: 0x600,
            value: 1 << 27,
        },
    ],
    ..words(0x40, 1, 0, 0x700)
};

/// Qualcomm MSM UARTDM (Linux's msm_serial.c): MSM_UART_SR.TX_EMPTY, UARTDM_TF; before it
/// CR.RESET_TX_READY, and UARTDM_NCF_TX, the number of characters that follow.
const UARTDM: Layout = Layout {
    before: [
        Beside {
            offset: 0x10,
            value: 3 << 8,
        },
        Beside {
            offset: 0x40,
            value: 1,
        },
    ],
    ..words(0x08, 1 << 3, 1 << 3, 0x70)
};

/// Amlogic Meson (S905 datasheet, "UART"; Linux's meson_uart.c): AML_UART_STATUS.TX_FULL,
/// AML_UART_WFIFO, AML_UART_CONTROL.TX_EN.
const MESON: Layout = enabled_words(0x0c, 1 << 21, 0, 0x00, 0x08, 1 << 12);

/// Renesas SCIF and HSCIF (R-Car Gen3 Hardware User's Manual, "SCIF"; Linux's sh-sci.c):
/// SCFSR.TDFE, SCFTDR; after it TDFE and TEND are cleared, by zeros. `spread` is the way from one
/// register to the next.
const fn scif(spread: u16) -> Layout {
    Layout {
        status: Register {
            offset: 4 * spread,
            width: 2,
        },
        data: Register {
            offset: 3 * spread,
            width: 1,
        },
        after: Beside {
            offset: 4 * spread,
            value: 0xff9f,
        },
        ..words(0, 1 << 5, 1 << 5, 0)
    }
}

/// Marvell Armada 3700 (functional specification, "UART"; Linux's mvebu-uart.c):
/// UART_STAT.TX_FIFO_FUL, UART_TSH.
const ARMADA: Layout = words(0x0c, 1 << 11, 0, 0x04);

/// Samsung (Exynos 5 User's Manual, "UART"; Linux's samsung_tty.c): UTRSTAT.TXE, "transmitter empty",
/// which holds with the FIFO and without; UTXH.
const SAMSUNG: Layout = words(0x10, 1 << 2, 1 << 2, 0x20);

/// NVIDIA's combined UART (Linux's tegra-tcu.c and tegra-hsp.c): HSP_SM_SHRD_MBOX, which is status and
/// data, with FULL, and with the number of characters in bits 24 and 25.
const TCU: Layout = Layout {
    mark: 1 << 31 | 1 << 24,
    ..words(0x00, 1 << 31, 0, 0x00)
};

/// STMicroelectronics (STM32MP25 reference manual, RM0457, "USART"): ISR.TXE, TDR, CR1.TE and UE.
const STM32: Layout = enabled_words(0x1c, 1 << 7, 1 << 7, 0x28, 0x00, 1 << 3 | 1);

/// Spreadtrum (Linux's sprd_serial.c): SPRD_STS1.TX_FIFO_CNT, SPRD_TXD.
const SPREADTRUM: Layout = words(0x0c, 0xff00, 0, 0x00);

/// Actions (Linux's owl-uart.c): OWL_UART_STAT.TFFU, OWL_UART_TXDAT.
const OWL: Layout = words(0x0c, 1 << 6, 0, 0x08);

/// Xilinx UART Lite (PG142, "Register Space"): STAT_REG.Tx_FIFO_Full, Tx_FIFO.
const UARTLITE: Layout = words(0x08, 1 << 3, 0, 0x04);

/// A 16550 (National Semiconductor PC16550D, 8.0): LSR.THRE, THR. It needs no enabling.
pub(super) const fn ns16550(shift: u8, width: u8) -> Layout {
    Layout {
        status: Register {
            offset: 5 << shift,
            width,
        },
        data: Register { offset: 0, width },
        is_16550: true,
        ..words(0, 1 << 5, 1 << 5, 0)
    }
}

/// Writes the two tables of one list: names are words of one text, so that they need no pointers.
macro_rules! kinds {
    ($($names:literal => $layout:expr,)*) => {
        pub(super) const NAMES: &str = concat!($($names, "\n"),*);
        pub(super) static LAYOUTS: [Layout; [$($names),*].len()] = [$($layout),*];
    };
}

// What each kind is called: by Linux in `console=` (the first name, without its number), by Linux in
// `earlycon=` (without a comma), and in a device tree.
kinds! {
    "ttyAMA pl011 arm,pl011 arm,pl011-axi arm,sbsa-uart" => PL011,
    "ttyPS cdns cdns,uart-r1p12 cdns,uart-r1p8 xlnx,xuartps" => CADENCE,
    "ttymxc ec_imx6q ec_imx21 fsl,imx6q-uart fsl,imx21-uart" => IMX,
    "ttyLP fsl,imx7ulp-lpuart fsl,imx8qxp-lpuart" => lpuart(0x10, false),
    "ttyLP fsl,ls1028a-lpuart" => lpuart(0, false),
    "ttyLP lpuart32 fsl,ls1021a-lpuart" => lpuart(0, true),
    "ttyMSM qcom_geni qcom,geni-debug-uart" => GENI,
    "ttyMSM msm_serial_dm qcom,msm-uartdm" => UARTDM,
    "ttyAML meson amlogic,meson-ao-uart amlogic,meson-gx-uart amlogic,meson-s4-uart" => MESON,
    "ttySC rzscifa rzv2hscif renesas,scif-r9a07g044 renesas,scif-r9a09g057" => scif(2),
    "ttySC scif hscif renesas,scif renesas,hscif" => scif(4),
    "ttyMV ar3700_uart marvell,armada-3700-uart" => ARMADA,
    "ttySAC exynos4210 samsung,exynos4210-uart samsung,exynos5433-uart samsung,exynos850-uart samsung,exynos8895-uart google,gs101-uart apple,s5l-uart" => SAMSUNG,
    "ttyTCU tegra_comb_uart nvidia,tegra194-tcu" => TCU,
    "ttySTM stm32 st,stm32h7-uart" => STM32,
    "ttyS sprd_serial sprd,sc9836-uart" => SPREADTRUM,
    "ttyOWL owl actions,owl-uart" => OWL,
    "ttyUL uartlite xlnx,xps-uartlite-1.00.a xlnx,opb-uartlite-1.00.b" => UARTLITE,
    // 16550s. Those that are particular come first: they may name the general one too.
    //
    // Broadcom BCM2835 (ARM Peripherals, 2.2), MediaTek and NVIDIA (Linux's 8250_mtk.c and
    // 8250_tegra.c): words.
    "ttyS brcm,bcm2835-aux-uart mediatek,mt6577-uart nvidia,tegra20-uart" => ns16550(2, WORD),
    // Texas Instruments (AM65x TRM, SPRUID7, "UART"; Linux's 8250_omap.c): bytes, a word apart.
    "ttyS omap8250 ti,am654-uart" => ns16550(2, 1),
    "ttyS uart8250 uart ns16550a ns16550 ns16750 ns16850 snps,dw-apb-uart" => ns16550(0, 1),
}
